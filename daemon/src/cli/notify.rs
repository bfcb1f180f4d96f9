//! What the service manager is told (sd_notify): that this service is ready once it is healthy, how it is, and, for
//! its watchdog, that it lives. Does nothing where no manager listens.
//!
//! The watchdog is fed only when a request to our own `/health` is answered and no loop stands still.

use crate::vitals::Vitals;
use sd_notify::NotifyState;
use serde_json::Value;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};

/// How often readiness is looked for.
const SOON: Duration = Duration::from_millis(500);
/// How often the state is told where no watchdog asks for more.
const SLOW: Duration = Duration::from_secs(15);
/// `/health` answers within 2 s, whatever hangs; a busy machine gets more.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells until it is dropped. `address` is where the service listens, once it does.
pub(super) async fn tell(mut address: watch::Receiver<Option<SocketAddr>>, vitals: Vitals) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let Ok(address) = address.wait_for(Option::is_some).await.map(|it| it.map(to_dial)) else { return };
    let Some(address) = address else { return };
    // A quarter: two may be late before the manager loses its patience.
    let every = sd_notify::watchdog_enabled().map_or(SLOW, |limit| (limit / 4).min(SLOW));
    let mut ready = false;
    loop {
        let answer = ask(address).await;
        let status = words(answer.as_ref());
        let mut say = vec![NotifyState::Status(&status)];
        if !ready && answer.as_ref().is_some_and(|(status, _)| *status == 200) {
            ready = true;
            say.push(NotifyState::Ready);
        }
        if lives(answer.is_some(), &vitals) {
            say.push(NotifyState::Watchdog);
        }
        send(&say);
        sleep(if ready { every } else { SOON.min(every) }).await;
    }
}

/// Whether the watchdog is to be fed; says why not.
fn lives(answered: bool, vitals: &Vitals) -> bool {
    let still = vitals.still();
    if let Some(name) = still {
        tracing::error!(loop.name = name, "a loop stands still: the service manager's watchdog is not fed");
    } else if !answered {
        tracing::error!("/health does not answer: the service manager's watchdog is not fed");
    }
    answered && still.is_none()
}

/// Says that this service stops because it was asked to.
pub(super) fn stopping() {
    send(&[NotifyState::Stopping]);
}

fn send(say: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(say) {
        tracing::warn!(error = %error, "the service manager was not told how this service is");
    }
}

/// Where a service that listens on every address is reached from here.
fn to_dial(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Asks `/health`: status and answer.
async fn ask(address: SocketAddr) -> Option<(u16, Value)> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(64 * 1024).read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    match timeout(PATIENCE, asking).await {
        Ok(Ok(answer)) => parse(&answer),
        _ => None,
    }
}

fn parse(answer: &[u8]) -> Option<(u16, Value)> {
    let text = str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, serde_json::from_str(body.trim()).unwrap_or_default()))
}

/// One line for `systemctl status`.
fn words(answer: Option<&(u16, Value)>) -> String {
    let Some((_, health)) = answer else { return "does not answer".into() };
    let mut text = health["status"].as_str().unwrap_or("unknown").to_owned();
    for (field, what) in [("database_available", "the database"), ("docker_available", "Docker")] {
        if health[field] == false {
            text.push_str(&format!("; {what} does not answer"));
        }
    }
    match health["running_jobs"].as_u64() {
        Some(1) => text.push_str("; 1 job runs"),
        Some(jobs) => text.push_str(&format!("; {jobs} jobs run")),
        None => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_a_line_for_people() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\r\n\
            {\"status\":\"degraded\",\"docker_available\":false,\"database_available\":false,\"running_jobs\":1}";
        let parsed = parse(answer).unwrap();
        assert_eq!(parsed.0, 503);
        assert_eq!(words(Some(&parsed)), "degraded; the database does not answer; Docker does not answer; 1 job runs");
        assert_eq!(words(None), "does not answer");
        assert_eq!(parse(b"SSH-2.0-OpenSSH_9.2\r\n"), None);
    }

    #[tokio::test]
    async fn only_a_service_that_answers_and_whose_loops_turn_is_fed() {
        let turning = Vitals::with_turns_of(Duration::from_hours(1));
        turning.watch("jobs", Duration::ZERO).beat();
        assert!(lives(true, &turning));
        assert!(!lives(false, &turning));
        let stuck = Vitals::with_turns_of(Duration::from_millis(1));
        let loops = (stuck.watch("inbox", Duration::from_hours(1)), stuck.watch("jobs", Duration::ZERO));
        sleep(Duration::from_millis(20)).await;
        assert_eq!(stuck.still(), Some("jobs"));
        assert!(!lives(true, &stuck));
        drop(loops);
    }

    #[test]
    fn a_service_on_every_address_is_reached_on_this_machines_own() {
        assert_eq!(to_dial("0.0.0.0:80".parse().unwrap()), "127.0.0.1:80".parse().unwrap());
        assert_eq!(to_dial("[::]:80".parse().unwrap()), "[::1]:80".parse().unwrap());
        assert_eq!(to_dial("10.0.0.1:80".parse().unwrap()), "10.0.0.1:80".parse().unwrap());
    }
}
