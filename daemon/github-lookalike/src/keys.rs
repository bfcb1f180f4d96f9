//! An App's RSA key pair and the random texts of tokens.

use anyhow::{Context, anyhow};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A new key: the private half as PEM (PKCS#8), the public half as PKCS#1 DER.
pub(crate) fn generate() -> anyhow::Result<(String, Vec<u8>)> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| anyhow!("no RSA key could be made"))?;
    let private: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| anyhow!("the RSA key could not be encoded"))?;
    let text = STANDARD.encode(private.as_ref());
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(line).context("base64 is ASCII")?);
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok((pem, pair.public_key().as_ref().to_vec()))
}

/// A token as GitHub's look: `ghs_` and 36 letters.
pub(crate) fn token() -> String {
    let random: [u8; 18] = rand::random();
    format!("ghs_{}", hex::encode(random))
}

/// So many random bytes in hex: codes and users' tokens.
pub(crate) fn random_hex(bytes: usize) -> String {
    hex::encode((0..bytes).map(|_| rand::random::<u8>()).collect::<Vec<_>>())
}

/// A delivery's id, a random UUID (version 4).
pub(crate) fn guid() -> String {
    let mut b: [u8; 16] = rand::random();
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    let h = hex::encode(b);
    format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
}
