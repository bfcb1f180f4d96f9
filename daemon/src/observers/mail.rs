//! E-mail to the operators. Who asked hears on GitHub; an operator wants to hear of what nobody but them can mend: jobs
//! that failed for want of infrastructure. So this is what mail is sent for, and of results only where `MAIL_ON` says so.
//!
//! When everything fails at once a mailbox is of no use: so many in an hour, and the next one tells how many were left out.

use super::{LIMIT, ended::Ended};
use crate::{
    config::{MailOn, MailSettings},
    mask::mask,
};
use bisect_shared::{JobStatus, ResultKind};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor, message::header::ContentType,
    transport::smtp::response::Severity,
};
use secrecy::ExposeSecret;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// Mails of one process in an hour, at most.
const IN_AN_HOUR: usize = 20;
const HOUR: Duration = Duration::from_hours(1);
/// What is waited between the tries of one mail; a server may say "later" (greylisting).
const TRIES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(20)];

type Smtp = AsyncSmtpTransport<Tokio1Executor>;

#[derive(Clone)]
pub(super) struct Mail {
    smtp: Smtp,
    settings: Arc<MailSettings>,
    base_url: Option<String>,
    pace: Arc<Mutex<Pace>>,
}

#[derive(Default)]
struct Pace {
    sent: VecDeque<Instant>,
    left_out: u64,
}

impl Pace {
    /// How many were left out before this one; `None`: this one is, too.
    fn next(&mut self, now: Instant) -> Option<u64> {
        while self.sent.front().is_some_and(|at| now.duration_since(*at) >= HOUR) {
            self.sent.pop_front();
        }
        if self.sent.len() >= IN_AN_HOUR {
            self.left_out += 1;
            return None;
        }
        self.sent.push_back(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

fn smtp(settings: &MailSettings) -> Result<Smtp, String> {
    // `{error}` of lettre holds no part of the address.
    let builder = Smtp::from_url(settings.url.expose_secret()).map_err(|error| error.to_string())?;
    Ok(builder.timeout(Some(LIMIT)).build())
}

/// Whether the server answers and lets us in; for `doctor`.
///
/// # Errors
/// What it said.
pub async fn check(settings: &MailSettings) -> Result<(), String> {
    match timeout(LIMIT, smtp(settings)?.test_connection()).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err("it does not answer as a mail server does".to_owned()),
        Ok(Err(error)) => Err(mask(&error.to_string()).into_owned()),
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    }
}

impl Mail {
    pub(super) fn new(settings: &MailSettings, base_url: Option<&str>) -> Result<Self, String> {
        Ok(Self {
            smtp: smtp(settings)?,
            settings: Arc::new(settings.clone()),
            base_url: base_url.map(|url| url.trim_end_matches('/').to_owned()),
            pace: Arc::default(),
        })
    }

    pub(super) async fn tell(self, ended: Arc<Ended>) -> Result<(), String> {
        let wanted = ended.job.status == JobStatus::Failed || self.settings.on == MailOn::Results;
        if !wanted {
            return Ok(());
        }
        let turn = self.pace.lock().unwrap_or_else(PoisonError::into_inner).next(Instant::now());
        let Some(left_out) = turn else { return Err("too many mails in an hour".to_owned()) };
        let message = self.message(&ended, left_out).map_err(|error| error.to_string())?;
        for wait in TRIES {
            match self.smtp.send(message.clone()).await {
                Err(error) if !error.is_permanent() => sleep(wait).await,
                Err(error) => return Err(error.to_string()),
                Ok(answer) if answer.code().severity == Severity::PositiveCompletion => return Ok(()),
                Ok(answer) => return Err(format!("it answered {}", answer.code())),
            }
        }
        self.smtp.send(message).await.map(drop).map_err(|error| error.to_string())
    }

    fn message(&self, ended: &Ended, left_out: u64) -> Result<Message, lettre::error::Error> {
        let (subject, body) = words(ended, self.base_url.as_deref(), left_out);
        let mut message = Message::builder().from(self.settings.from.clone()).subject(subject);
        for to in &self.settings.to {
            message = message.to(to.clone());
        }
        // So that nobody's holiday note answers.
        message.header(AutoSubmitted).header(ContentType::TEXT_PLAIN).body(body)
    }
}

/// RFC 3834.
#[derive(Clone)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Subject and text. What a stranger wrote, and what Docker or git said, is masked and has no control sequences.
fn words(ended: &Ended, base_url: Option<&str>, left_out: u64) -> (String, String) {
    let job = &ended.job;
    let line = |text: &str| plain(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let what = match (job.status, job.result) {
        (JobStatus::Failed, _) => "failed".to_owned(),
        (_, Some(ResultKind::Culprit)) => {
            format!("found {}", job.culprit.map_or_else(|| "the culprit".to_owned(), |sha| sha.short()))
        }
        (status, result) => format!("ended: {}", result.map_or(status.name(), ResultKind::name)),
    };
    let subject = format!("[bisect-bot] job {} of {} {what}", job.id, line(&ended.place));
    let mut body = format!("Job {} of {} {what}.\n\n", job.id, line(&ended.place));
    let mut say = |name: &str, text: &str| body.push_str(&format!("{name:<10}{text}\n"));
    if let Some(who) = &job.requested_by {
        say("asked by", &line(who));
    }
    say("command", &line(&job.command.join(" ")));
    let good = job.goods().next().map_or_else(|| "(looked for)".to_owned(), bisect_shared::Sha::short);
    say("range", &format!("{good}..{}", job.bad.short()));
    if let Some(error) = &job.error {
        say("why", &line(error));
    }
    if let Some(url) = base_url {
        say("more", &format!("{url}/jobs/{}", job.id));
    }
    if job.status == JobStatus::Failed {
        body.push_str(
            "\nWhat it needed (Docker, git, the database, GitHub) was away, or its servers crashed. `bisectd doctor` on a server \
             says what does not work; then retry it in the console, on its page, or by `/bisect retry` on the issue.\n",
        );
    }
    if left_out > 0 {
        body.push_str(&format!("\n{left_out} earlier mails were left out: there were too many in an hour.\n"));
    }
    (subject, body)
}

fn plain(text: &str) -> String {
    crate::report::text::filter(mask(text).as_bytes(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_mails_in_an_hour_and_the_next_one_tells_of_the_others() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert!((0..IN_AN_HOUR).all(|_| pace.next(start) == Some(0)));
        assert_eq!((pace.next(start), pace.next(start)), (None, None));
        assert_eq!(pace.next(start + HOUR), Some(2));
        assert_eq!(pace.next(start + HOUR), Some(0));
    }
}
