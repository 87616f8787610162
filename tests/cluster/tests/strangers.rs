//! Strangers at the ports of a running network, and second daemons on its folders. False heartbeats are tested in
//! r1d's own room, full disks and unwritable folders in those of both daemons.

use std::{
    net::{Ipv4Addr, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    process::Command,
    time::Duration,
};

use r1_cluster_tests::{closed, end, programs, start, status, wait_closed};
use r1_localnet::{Network, Node};

const PATIENCE: Duration = Duration::from_secs(60);
/// More than any frame that a peer may send before it has proven who it is.
static GARBAGE: [u8; 256 << 10] = [0xff; 256 << 10];
/// How long a stranger waits for an answer.
const ANSWER_TIME: Duration = Duration::from_millis(500);

/// Sends garbage; that the other side hangs up meanwhile is what is hoped for.
fn shout(mut stream: impl std::io::Read + std::io::Write) {
    let _ = stream.write_all(&GARBAGE);
    let _ = stream.read(&mut [0; 64]);
}

fn shout_at(node: &Node) {
    for port in [node.layout.net_port, node.layout.consensus_port] {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .unwrap_or_else(|error| panic!("{} port {port}: {error}", node.layout.name));
        stream.set_read_timeout(Some(ANSWER_TIME)).expect("a timeout");
        stream.set_write_timeout(Some(ANSWER_TIME)).expect("a timeout");
        shout(stream);
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        for _ in 0..50 {
            // Nobody may listen on this port for datagrams: the next one is then refused.
            let _ = datagrams.send_to(&GARBAGE[..1200], (Ipv4Addr::LOCALHOST, port));
        }
    }
    let control = UnixStream::connect(node.layout.control_socket()).expect("the control socket");
    control.set_read_timeout(Some(ANSWER_TIME)).expect("a timeout");
    control.set_write_timeout(Some(ANSWER_TIME)).expect("a timeout");
    shout(control);
}

/// Runs a daemon that has to refuse: what it says.
fn refusal(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(!output.status.success(), "{command:?} succeeds");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn second_daemons_are_refused(network: &Network) {
    let layout = &network.nodes[0].layout;
    let said = refusal(
        Command::new(programs().join("r1d"))
            .arg("--config")
            .arg(layout.config()),
    );
    let state = layout.state().display().to_string();
    assert!(
        said.contains("in use by another r1d") && said.contains(&state),
        "{said}"
    );
    let said = refusal(
        Command::new(programs().join("r1-hostd"))
            .arg("--state")
            .arg(layout.host_state())
            .arg("--run")
            .arg(layout.run.join("second"))
            .args(["--cgroup", &format!("{}-second", layout.cgroup), "--runc"])
            .arg(programs().join("r1-runc")),
    );
    let state = layout.host_state().display().to_string();
    assert!(
        said.contains("another r1-hostd") && said.contains(&state),
        "{said}"
    );
}

#[test]
fn garbage_and_second_daemons_hurt_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut network = start(dir.path(), 2, 0);
    wait_closed(&network.nodes[0], 0, PATIENCE);
    for node in &network.nodes {
        shout_at(node);
    }
    second_daemons_are_refused(&network);
    let before = closed(&network.nodes[0]).expect("an epoch");
    for node in &mut network.nodes {
        wait_closed(node, before + 1, PATIENCE);
        assert!(node.r1d.is_running(), "{} has ended", node.layout.name);
        assert!(
            node.hostd.is_running(),
            "{}'s r1-hostd has ended",
            node.layout.name
        );
        assert_eq!(status(node)["peers"], 1, "{} keeps its peer", node.layout.name);
    }
    end(network);
}
