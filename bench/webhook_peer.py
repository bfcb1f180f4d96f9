"""The peer of the webhook benchmark: the same check and the same insert in FastAPI and asyncpg, and nothing else.

Run by uvicorn (bench/webhooks.py does): DATABASE_URL and GITHUB_WEBHOOK_SECRET are read from the environment.
"""

import hashlib
import hmac
import json
import os
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, Request, Response

SECRET = os.environ["GITHUB_WEBHOOK_SECRET"].encode()
INSERT = """
    INSERT INTO webhook_deliveries (delivery_id, event, action, installation_id, comment_id, payload, state, outcome, processed_at)
    VALUES ($1, $2, $3, $4, $5, $6, 'ignored', 'no command', now()) ON CONFLICT DO NOTHING RETURNING delivery_id
"""


@asynccontextmanager
async def lifespan(app):
    app.state.pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=2, max_size=10)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)


@app.post("/webhook")
async def webhook(request: Request, response: Response):
    body = await request.body()
    signed = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signed, request.headers.get("x-hub-signature-256", "")):
        response.status_code = 401
        return {"status": "unsigned"}
    data = json.loads(body)
    if "/bisect" in data.get("comment", {}).get("body", ""):
        raise NotImplementedError("the benchmark's comments have no command")
    row = await request.app.state.pool.fetchval(
        INSERT,
        request.headers["x-github-delivery"],
        request.headers["x-github-event"],
        data.get("action"),
        data.get("installation", {}).get("id"),
        data.get("comment", {}).get("id"),
        "",
    )
    response.status_code = 202 if row else 200
    return {"status": "accepted" if row else "duplicate"}
