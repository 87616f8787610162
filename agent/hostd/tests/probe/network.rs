//! Bytes of a cgroup against the counters of the interface, in two network namespaces of our own.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    process::Command,
    time::Duration,
};

use r1_hostd::probe::Usage;

use crate::lab::{Cgroup, Helper, answer, listen, probe, skip, unique, wait_for};

/// Bytes that an interface counts per packet and a cgroup does not see: the Ethernet header.
const ETHERNET: u64 = 14;
const SERVER: &str = "192.0.2.2:4000";
const DATAGRAMS: usize = 500;
const STREAM: usize = 3 << 20;

/// Two namespaces joined by a pair of interfaces, on which nobody else speaks.
struct Wire {
    client: String,
    server: String,
}

impl Wire {
    fn lay(test: &str) -> Option<Self> {
        let wire = Self {
            client: unique("a"),
            server: unique("b"),
        };
        if !ip(&["netns", "add", &wire.client]) || !ip(&["netns", "add", &wire.server]) {
            skip(test, "`ip netns add` failed");
            return None;
        }
        // No router solicitations, no address resolution: every packet belongs to a socket of the test.
        for ns in [&wire.client, &wire.server] {
            let quiet = [
                "net.ipv6.conf.all.disable_ipv6=1",
                "net.ipv6.conf.default.disable_ipv6=1",
            ];
            for setting in quiet {
                // Fails where IPv6 is not built in, which is as good.
                ip(&["netns", "exec", ns, "sysctl", "-q", "-w", setting]);
            }
        }
        let (a, b) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
        must(&[
            "-n",
            &wire.client,
            "link",
            "add",
            "w0",
            "address",
            a,
            "type",
            "veth",
            "peer",
            "name",
            "w0",
            "address",
            b,
            "netns",
            &wire.server,
        ]);
        for (ns, own, other, mac) in [
            (&wire.client, "192.0.2.1", "192.0.2.2", b),
            (&wire.server, "192.0.2.2", "192.0.2.1", a),
        ] {
            must(&["-n", ns, "addr", "add", &format!("{own}/24"), "dev", "w0"]);
            must(&["-n", ns, "link", "set", "lo", "up"]);
            must(&["-n", ns, "link", "set", "w0", "up"]);
            must(&[
                "-n",
                ns,
                "neigh",
                "replace",
                other,
                "lladdr",
                mac,
                "dev",
                "w0",
                "nud",
                "permanent",
            ]);
        }
        Some(wire)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for ns in [&self.client, &self.server] {
            ip(&["netns", "del", ns]);
        }
    }
}

fn ip(args: &[&str]) -> bool {
    Command::new("ip")
        .args(args)
        .output()
        .is_ok_and(|o| o.status.success())
}

fn must(args: &[&str]) {
    assert!(ip(args), "ip {}", args.join(" "));
}

/// Sends back what comes, datagrams and one stream.
pub fn echo() {
    let (udp, tcp) = (
        UdpSocket::bind(SERVER).unwrap(),
        TcpListener::bind(SERVER).unwrap(),
    );
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((n, from)) = udp.recv_from(&mut buffer) {
            udp.send_to(&buffer[..n], from).unwrap();
        }
    });
    answer("ready");
    let (mut stream, _) = tcp.accept().unwrap();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        stream.write_all(&buffer[..n]).unwrap();
    }
}

/// Speaks with the echo, and with itself over loopback, which does not count.
pub fn client() {
    answer("ready");
    listen();
    let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
    udp.connect(SERVER).unwrap();
    udp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut buffer = [0; 2048];
    for i in 0..DATAGRAMS {
        udp.send(&buffer[..i * 1400 / DATAGRAMS]).unwrap();
        udp.recv(&mut buffer).unwrap();
    }
    answer("udp");
    listen();
    let itself = UdpSocket::bind("127.0.0.1:0").unwrap();
    itself.send_to(&[0; 1000], itself.local_addr().unwrap()).unwrap();
    itself.recv(&mut buffer).unwrap();
    let mut stream = TcpStream::connect(SERVER).unwrap();
    let mut back = stream.try_clone().unwrap();
    let reader = std::thread::spawn(move || back.read_exact(&mut vec![0; STREAM]).unwrap());
    stream.write_all(&vec![7; STREAM]).unwrap();
    reader.join().unwrap();
    answer("tcp");
    listen();
}

/// `[rx bytes, rx packets, tx bytes, tx packets]` of the interface in the namespace of a process.
fn interface(pid: u32) -> [u64; 4] {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    let line = text.lines().find_map(|l| l.trim().strip_prefix("w0:")).unwrap();
    let n: Vec<u64> = line.split_whitespace().map(|v| v.parse().unwrap()).collect();
    [n[0], n[1], n[8], n[9]]
}

fn as_interface(u: &Usage) -> [u64; 4] {
    let rx = u.rx_bytes + ETHERNET * u.rx_packets;
    [
        rx,
        u.rx_packets,
        u.tx_bytes + ETHERNET * u.tx_packets,
        u.tx_packets,
    ]
}

#[test]
fn network_bytes_are_those_of_the_interface() {
    let test = "network_bytes_are_those_of_the_interface";
    let (Some(probe), Some(cgroup)) = (probe(test, &["net_ingress", "net_egress"]), Cgroup::v2(test)) else {
        return;
    };
    let Some(wire) = Wire::lay(test) else { return };
    let id = probe.watch_cgroup(&cgroup.0).unwrap();
    let _server = Helper::start("echo", Some(&wire.server));
    let mut client = Helper::start("client", Some(&wire.client));
    cgroup.admit(client.pid());
    assert_eq!(
        interface(client.pid()),
        [0; 4],
        "somebody else speaks on the wire"
    );

    assert_eq!(client.ask("go"), "udp");
    let usage = probe.usage(id).unwrap();
    eprintln!("udp: {:?}", as_interface(&usage));
    assert_eq!(as_interface(&usage), interface(client.pid()));
    assert_eq!(
        (usage.rx_packets, usage.tx_packets),
        (DATAGRAMS as u64, DATAGRAMS as u64)
    );
    // 20 bytes of IP and 8 of UDP header each.
    let sent: u64 = (0..DATAGRAMS).map(|i| (i * 1400 / DATAGRAMS) as u64 + 28).sum();
    assert_eq!((usage.rx_bytes, usage.tx_bytes), (sent, sent));

    assert_eq!(client.ask("go"), "tcp");
    // A delayed acknowledgement may still be on its way.
    wait_for("equal counters", || {
        (as_interface(&probe.usage(id).unwrap()) == interface(client.pid())).then_some(())
    });
    let usage = probe.usage(id).unwrap();
    eprintln!("udp + tcp: {:?}", as_interface(&usage));
    assert!(usage.tx_bytes > sent + STREAM as u64 && usage.rx_bytes > sent + STREAM as u64);
}
