//! Says what takes long before there is a job to watch: on standard error, and only when it does.

use super::{bisect::tell, watch::Show};
use indicatif::{ProgressBar, ProgressStyle};
use std::{future::Future, pin::pin, time::Duration};

/// What is over sooner is not spoken of.
const SOON: Duration = Duration::from_millis(500);

/// How steps are told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    show: Show,
}

impl Steps {
    pub(super) const fn new(show: Show) -> Self {
        Self { show }
    }

    /// Does `work`, and says `what` it is once it takes long: in a line that goes when it is done, or
    /// in one that stays where there is no terminal.
    pub(super) async fn tell<T>(self, what: &str, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(SOON) => {}
        }
        let line = match self.show {
            Show::Bar => Some(spinner(what)),
            Show::Lines => {
                tell(what);
                None
            }
            Show::Nothing => None,
        };
        let done = work.await;
        if let Some(line) = line {
            line.finish_and_clear();
        }
        done
    }
}

fn spinner(what: &str) -> ProgressBar {
    // indicatif draws on standard error.
    let line = ProgressBar::new_spinner().with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        line.set_style(style);
    }
    line.enable_steady_tick(Duration::from_millis(120));
    line
}
