use super::*;
use crate::target::{Address, Host, REMOTE_COMMAND};
use rstest::rstest;

fn server() -> Server {
    Server {
        name: "bot".to_owned(),
        address: Address::Ssh(Host::parse("bot:2222").unwrap()),
        remote_command: REMOTE_COMMAND.to_owned(),
        ssh_options: Vec::new(),
    }
}

fn of(code: Option<i32>, said: &str, first: &[u8]) -> Mistake {
    let server = server();
    of_ssh(&Evidence { server: &server, asking: false, code, said, first, fault: "end of stream", was_up: false })
}

const CHANGED: &str = "@@@@@@@@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n@@@@@@@@@@@@\r\n\
    IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r\nThe fingerprint for the ED25519 key sent by the remote host is\n\
    SHA256:abc/def.\r\nPlease contact your system administrator.\r\nHost key verification failed.\r\n";

#[rstest]
#[case(255, CHANGED, "the host key of bot:2222 CHANGED (it sent SHA256:abc/def)", true)]
#[case(
    255,
    "No ED25519 host key is known for bot and you have requested strict checking.\r\nHost key verification failed.\r\n",
    "bot:2222 is not known yet",
    true
)]
#[case(
    255,
    "ssh: Could not resolve hostname bot: Name or service not known\r\n",
    "no machine is called bot:2222",
    false
)]
#[case(255, "ssh: connect to host bot port 22: Connection refused\r\n", "refuses connections", false)]
#[case(255, "ssh: connect to host bot port 22: Connection timed out\r\n", "does not answer (timed out)", false)]
#[case(255, "ssh: connect to host bot port 22: No route to host\r\n", "cannot be reached", false)]
#[case(
    255,
    "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by 10.0.0.1 port 22\r\n",
    "closed the connection before the login",
    false
)]
#[case(
    255,
    "ada@bot: Permission denied (publickey,password).\r\n",
    "accepted no key (it takes publickey,password)",
    true
)]
#[case(255, "Received disconnect from 10.0.0.1: Too many authentication failures\r\n", "too many: name one", true)]
#[case(
    255,
    "/root/.ssh/config: line 3: Bad configuration option: colour\r\n/root/.ssh/config: terminating, 1 bad configuration options\r\n",
    "ssh does not like its configuration: /root/.ssh/config: line 3",
    true
)]
#[case(
    255,
    "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found.\r\n",
    "share no algorithm",
    true
)]
#[case(255, "some new words\r\n", "no connection to bot: some new words", false)]
#[case(
    127,
    "bash: line 1: bisectd: command not found\n",
    "--remote-command 'docker exec -i bot bisectd dial-stdio'",
    true
)]
#[case(126, "bash: line 1: /usr/bin/bisectd: Permission denied\n", "cannot be run on bot", true)]
#[case(
    3,
    "error: the admin socket /run/bisectd/admin.sock cannot be opened: Permission denied\n",
    "closed to your login",
    true
)]
#[case(3, "error: /run/bisectd/admin.sock: Connection refused\n", "bisectd is not running on bot", false)]
#[case(3, "error: there is no socket /run/bisectd/admin.sock\n", "there is no admin socket on bot", false)]
#[case(
    77,
    "error: /run/bisectd/admin.sock may not be used by this user: it belongs to group bisect\n",
    "closed to your login there: /run",
    true
)]
#[case(
    69,
    "error: nobody answers on /run/bisectd/admin.sock: the daemon is not running\n",
    "bisectd is not running on bot: nobody",
    false
)]
#[case(
    66,
    "error: there is no socket at /run/bisectd/admin.sock: `bisectd serve` has never run here\n",
    "no admin socket on bot",
    false
)]
#[case(
    65,
    "error: /etc/passwd is not a socket; name the one of `bisectd serve`\n",
    "on bot: /etc/passwd is not a socket",
    true
)]
#[case(2, "error: unrecognized subcommand 'dial-stdio'\n", "too old", true)]
#[case(
    1,
    "Error response from daemon: No such container: bot\n",
    "`bisectd dial-stdio` on bot ended (exit 1) without an answer: Error response",
    false
)]
#[case(0, "", "`bisectd dial-stdio` on bot ended (exit 0) without an answer: end of stream", false)]
fn sentences(#[case] code: i32, #[case] said: &str, #[case] text: &str, #[case] hopeless: bool) {
    let mistake = of(Some(code), said, b"");
    assert!(mistake.text.contains(text), "{}", mistake.text);
    assert_eq!(mistake.hopeless, hopeless, "{}", mistake.text);
}

#[test]
fn what_another_program_says_is_shown_without_its_control_sequences() {
    let mistake = of(Some(0), "", b"\x1b]0;owned\x07Welcome to \x1b[31mbot\x1b[0m!\r\n");
    assert!(mistake.text.contains("`Welcome to bot!`"), "{}", mistake.text);
    assert!(mistake.hopeless);
    let hostile = of(Some(1), "\x1b]52;c;ZXZpbA==\x07\x1b[2Jgone\u{202e}\n", b"");
    assert!(hostile.text.ends_with("gone"), "{:?}", hostile.text);
}

#[test]
fn one_that_had_worked_was_lost() {
    let server = server();
    let said = "Timeout, server bot not responding.\r\n";
    let evidence =
        Evidence { server: &server, asking: false, code: Some(255), said, first: &[], fault: "", was_up: true };
    assert_eq!(
        of_ssh(&evidence),
        Mistake::passing("the connection to bot was lost: Timeout, server bot not responding.")
    );
    let silent = Evidence { code: None, said: "", fault: "nothing was heard for 15 s", ..evidence };
    assert_eq!(of_ssh(&silent), Mistake::passing("the connection to bot was lost: nothing was heard for 15 s"));
}

#[test]
fn sockets() {
    let server = Server { address: Address::Socket("/run/x".into()), ..server() };
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 1];
    assert!(of_socket(&server, &settings, "f", false).text.contains("does not answer"));
    assert!(
        of_socket(&server, b"HTTP/1.1 400 Bad Request\r\n", "f", false)
            .text
            .contains("is not bisectd: it says `HTTP/1.1")
    );
    assert!(of_socket(&server, b"", "f", false).text.contains("without a word"));
    assert!(of_socket(&server, &settings, "f", true).text.contains("was lost: f"));
}
