//! HTTP and the other protocols of text lines, by their TCP ports.

use crate::fixtures::{Tcp, udp_frame};

fn segment(dport: u16, payload: &[u8]) -> Vec<u8> {
    Tcp { dport, payload: payload.to_vec(), ..Tcp::new(0x18) }.frame()
}

pub fn packets() -> Vec<Vec<u8>> {
    let request = b"GET /healthz HTTP/1.1\r\nHost: lab\r\nAccept: */*\r\n\r\n";
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n\x00\x01";
    vec![
        segment(80, request),
        segment(8080, request),
        Tcp { dport: 8080, payload: response.to_vec(), ..Tcp::new(0x18) }.reply(),
        segment(30080, request),
        segment(80, b"post /x HTTP/1.1\nHost: lab\n"),
        segment(80, b"GET /cut"),
        segment(80, b"GET /cut\r"),
        segment(80, b"GET /odd\rline\r\n"),
        segment(80, b"GET\t/tab HTTP/1.0\r\n\r\n"),
        segment(80, b"HTTP/1.1 20 OK\r\n"),
        segment(80, b"HTTP/1.1  404\r\n"),
        segment(80, b"the rest of a body\r\nof another segment\r\n"),
        segment(80, b"\x16\x03\x01\x02\x00\x01"),
        segment(80, b"\xff"),
        segment(80, b" "),
        segment(80, &[b'G'; 140]),
        segment(25, b"220 mail ready\r\n"),
        segment(21, b"USER anonymous\r\nPASS guest\r\n"),
        segment(43, b"example.com\r\n"),
        segment(554, b"DESCRIBE rtsp://lab/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
        segment(8554, b"RTSP/1.0 200 OK\r\n\r\n"),
        segment(22, b"SSH-2.0-OpenSSH_9.2p1\r\n"),
        segment(22, b"SSH-2.0-cut"),
        segment(22, b"SSH-2.0-\x01\r\n"),
        segment(22, b"SSH"),
        segment(22, b"\x00\x00\x05\x01"),
        udp_frame(5060, 5060, b"INVITE sip:lab SIP/2.0\r\nCSeq: 1\r\n\r\n"),
        udp_frame(40000, 5060, b"SIP/2.0 100 Trying\r\n\r\n"),
    ]
}
