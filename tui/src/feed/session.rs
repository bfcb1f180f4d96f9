//! A connection that said hello.

use super::Clocks;
use crate::{
    client::{Client, Error, Lines},
    connection::{self, Mistake, Witness},
    target::Server,
};
use bisect_shared::admin::{API_VERSION, Event, Hello};
use tokio::{task::JoinHandle, time::timeout};

/// The first line was heard; what follows on `events` is not read yet.
#[derive(Debug)]
pub struct Session {
    /// Who answers.
    pub hello: Hello,
    /// Asks.
    pub client: Client,
    pub(super) events: Lines<Event>,
    transport: JoinHandle<()>,
    witness: Witness,
}

impl Session {
    /// Connects and subscribes to the events. With `asking`, ssh may ask at the terminal, and people take their time.
    ///
    /// # Errors
    /// What a person needs to know.
    pub async fn open(server: &Server, asking: bool, clocks: &Clocks) -> Result<Self, Mistake> {
        let connection::Line { io, witness } = connection::open(server, asking).await?;
        let greeted = async {
            let (client, transport) = Client::start(io, clocks.call).await?;
            let greeted = greet(&client, asking, clocks).await;
            greeted.map(|(hello, events)| (hello, client, events, transport))
        };
        match greeted.await {
            Ok((hello, client, events, transport)) => {
                witness.settled();
                Ok(Self { hello, client, events, transport, witness })
            }
            // What the daemon itself says needs no witness.
            Err(error @ Error::Newer { .. }) => Err(Mistake::for_good(format!("{}: {error}", server.name))),
            Err(Error::Refused { status, message }) => {
                let text = format!("bisectd on {} says no: {message}", server.name);
                Err(if status.is_client_error() { Mistake::for_good(text) } else { Mistake::passing(text) })
            }
            Err(error) => Err(witness.explain(&error.to_string(), false).await),
        }
    }

    /// Ends it because of `fault`, and says what a person needs to know.
    pub(super) async fn lost(self, fault: &str) -> Mistake {
        drop((self.client, self.events));
        self.transport.abort();
        self.witness.explain(fault, true).await
    }

    /// Ends it; nothing is wrong with it.
    pub fn close(self) {
        self.transport.abort();
        self.witness.let_go();
    }
}

async fn greet(client: &Client, asking: bool, clocks: &Clocks) -> Result<(Hello, Lines<Event>), Error> {
    let first = async {
        let mut events = client.stream::<Event>("/v1/events", true).await?;
        Ok((events.next().await?, events))
    };
    let first =
        if asking { first.await } else { timeout(clocks.hello, first).await.unwrap_or(Err(Error::Late(clocks.hello))) };
    match first? {
        (Some(Event::Hello(hello)), _) if hello.api > API_VERSION => Err(Error::Newer { theirs: hello.api }),
        (Some(Event::Hello(hello)), events) => Ok((hello, events)),
        (Some(_), _) => Err(Error::Misunderstood("the events do not begin with hello".to_owned())),
        (None, _) => Err(Error::Lost { why: "the events ended before they began".to_owned(), sent: true }),
    }
}
