//! A small mail server.

use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A mail server that takes everything, and keeps what it was told.
#[derive(Clone, Default)]
pub struct Mailbox(Arc<Mutex<Vec<String>>>);

impl Mailbox {
    /// Its address.
    pub async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mails = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(mails.clone().serve(stream));
            }
        });
        address.to_string()
    }

    /// RFC 5321, as far as a client goes that sends one mail.
    async fn serve(self, stream: TcpStream) {
        let (reader, mut writer) = stream.into_split();
        let (mut lines, mut mail, mut in_data) = (BufReader::new(reader).lines(), String::new(), false);
        writer.write_all(b"220 mail.example.com\r\n").await.unwrap();
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = match (in_data, line.as_str()) {
                (true, ".") => {
                    in_data = false;
                    self.0.lock().unwrap().push(std::mem::take(&mut mail));
                    "250 taken"
                }
                (true, text) => {
                    mail += &format!("{text}\n");
                    continue;
                }
                (false, "DATA") => {
                    in_data = true;
                    "354 go on"
                }
                (false, "QUIT") => "221 bye",
                (false, command) => {
                    mail += &format!("{command}\n");
                    "250 fine"
                }
            };
            writer.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
        }
    }

    /// What each mail's sender said, its headers and its text.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}
