//! Signs webhooks and delivers them as GitHub does: one attempt, 10 s, the answer recorded, never retried by itself.

use crate::faults::WebhookFault;
use crate::keys;
use crate::world::World;
use crate::world::state::{Delivery, Outgoing};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::time::Instant;

/// The value of `X-Hub-Signature-256`.
#[must_use]
pub fn signature(secret: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length, so this cannot fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// What came of an attempt.
struct Answer {
    status: u16,
    outcome: String,
    text: String,
}

impl World {
    pub(crate) async fn deliver_all(&self, webhooks: Vec<Outgoing>) {
        for outgoing in webhooks {
            self.deliver(outgoing).await;
        }
    }

    /// Delivers without waiting, as GitHub does after a call of the API.
    pub(crate) fn deliver_later(&self, webhooks: Vec<Outgoing>) {
        let world = self.clone();
        self.sending().spawn(async move { world.deliver_all(webhooks).await });
    }

    /// Waits until no webhook is on its way.
    pub async fn settle(&self) {
        let sending = self.sending();
        sending.close();
        sending.wait().await;
        sending.reopen();
    }

    /// Sends every webhook again that nobody has taken yet, each once, as somebody does on the App's page.
    /// The answer is how many those were.
    pub async fn redeliver_failed(&self) -> usize {
        self.settle().await;
        let failed: Vec<Outgoing> = {
            let state = self.read();
            let taken = |guid: &str| state.deliveries.iter().any(|d| d.guid == guid && (200..300).contains(&d.status));
            let last = |at: usize| !state.deliveries[at + 1..].iter().any(|d| d.guid == state.deliveries[at].guid);
            let each = state.deliveries.iter().enumerate();
            each.filter(|(at, d)| last(*at) && !taken(&d.guid)).map(|(_, d)| d.again()).collect()
        };
        let count = failed.len();
        self.deliver_all(failed).await;
        count
    }

    pub(crate) async fn deliver(&self, outgoing: Outgoing) {
        let fault = self.change(|state| {
            if state.holding {
                state.held.push(outgoing.clone());
                return None;
            }
            Some(state.webhook_faults.pop_front())
        });
        match fault {
            None => {}
            Some(None) => self.attempt(outgoing).await,
            Some(Some(WebhookFault::Duplicate)) => {
                tokio::join!(self.attempt(outgoing.clone()), self.attempt(outgoing));
            }
            Some(Some(WebhookFault::SecondDeliveryId)) => {
                let second = Outgoing { guid: keys::guid(), ..outgoing.clone() };
                self.attempt(outgoing).await;
                self.attempt(second).await;
            }
            Some(Some(WebhookFault::Lost)) => {
                let answer = Answer { status: 502, outcome: "failed to connect to host".into(), text: String::new() };
                self.record(outgoing, BTreeMap::new(), 0.0, answer);
            }
        }
    }

    /// One attempt, with its record.
    async fn attempt(&self, outgoing: Outgoing) {
        let Some((url, headers)) = self.prepare(&outgoing) else {
            tracing::info!(event = %outgoing.event, "the App has no webhook address: not sent");
            return;
        };
        let mut request = self.http().post(url).body(outgoing.body.clone());
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        let start = Instant::now();
        let answer = match request.send().await {
            Ok(response) => {
                let status = response.status();
                let outcome = if status.is_success() { "OK" } else { status.canonical_reason().unwrap_or("failed") };
                let outcome = outcome.to_owned();
                Answer { status: status.as_u16(), outcome, text: response.text().await.unwrap_or_default() }
            }
            Err(error) if error.is_timeout() => {
                Answer { status: 504, outcome: "timed out".into(), text: String::new() }
            }
            Err(_) => Answer { status: 502, outcome: "failed to connect to host".into(), text: String::new() },
        };
        self.record(outgoing, headers, start.elapsed().as_secs_f64(), answer);
    }

    fn prepare(&self, outgoing: &Outgoing) -> Option<(String, BTreeMap<String, String>)> {
        let state = self.read();
        let app = state.app(outgoing.app)?;
        let url = app.webhook_url.clone()?;
        let headers = [
            ("Content-Type", "application/json".to_owned()),
            ("User-Agent", "GitHub-Hookshot/1a0c2f4".to_owned()),
            ("X-GitHub-Delivery", outgoing.guid.clone()),
            ("X-GitHub-Event", outgoing.event.clone()),
            ("X-GitHub-Hook-ID", app.id.to_string()),
            ("X-GitHub-Hook-Installation-Target-ID", app.id.to_string()),
            ("X-GitHub-Hook-Installation-Target-Type", "integration".to_owned()),
            ("X-Hub-Signature-256", signature(&app.webhook_secret, outgoing.body.as_bytes())),
        ];
        Some((url, headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
    }

    fn record(&self, outgoing: Outgoing, headers: BTreeMap<String, String>, seconds: f64, answer: Answer) {
        if !(200..300).contains(&answer.status) {
            let (event, status, outcome) = (&outgoing.event, answer.status, &answer.outcome);
            tracing::warn!(%event, status, %outcome, answer = %answer.text, "a webhook was not taken");
        }
        self.change(|state| {
            let (id, delivered_at) = (state.next_id(), state.now());
            state.deliveries.push(Delivery {
                id,
                guid: outgoing.guid,
                app: outgoing.app,
                event: outgoing.event,
                action: outgoing.action,
                installation: outgoing.installation,
                repository: outgoing.repository,
                redelivery: outgoing.redelivery,
                delivered_at,
                seconds,
                status: answer.status,
                outcome: answer.outcome,
                headers,
                body: outgoing.body,
                answer: answer.text,
            });
        });
    }
}

impl Delivery {
    /// The same webhook once more, as the API's `attempts` sends it.
    pub(crate) fn again(&self) -> Outgoing {
        Outgoing {
            guid: self.guid.clone(),
            app: self.app,
            event: self.event.clone(),
            action: self.action.clone(),
            installation: self.installation,
            repository: self.repository,
            redelivery: true,
            body: self.body.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_github_publishes() {
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature("It's a Secret to Everybody", b"Hello, World!"), expected);
    }
}
