//! Where expressions are wrong.

use crate::capture::filter::{Error, Filter, Options};

/// The expression, its error's message, and the line with the caret.
const WRONG: &[(&str, &str, &str)] = &[
    ("tcp foo", SYNTAX, "    ^"),
    ("tcp and", SYNTAX, "       ^"),
    ("(tcp", SYNTAX, "    ^"),
    ("tcp)", SYNTAX, "   ^"),
    ("tcp port", SYNTAX, "        ^"),
    ("host", SYNTAX, "    ^"),
    ("foo", SYNTAX, "^"),
    ("12.4", SYNTAX, "^"),
    ("443", SYNTAX, "   ^"),
    ("tcp port 80 and and udp", SYNTAX, "                ^"),
    ("tcp port 80 udp", SYNTAX, "            ^"),
    ("tcp @ udp", SYNTAX, "    ^"),
    ("proto tcp", SYNTAX, "      ^"),
    ("dst and src tcp", SYNTAX, "            ^"),
    ("tcp[0", SYNTAX, "     ^"),
    ("tcp[0] == ", SYNTAX, "          ^"),
    ("tcp[tcpflags] & (tcp-syn = 0", SYNTAX, "                         ^"),
    ("icmp[icmptypo] = 1", SYNTAX, "     ^"),
    ("portrange 5-", SYNTAX, "           ^"),
    ("port -5", SYNTAX, "     ^"),
    ("tcp port (80 or 443", SYNTAX, "                   ^"),
    ("not", SYNTAX, "   ^"),
    ("host a.invalid. and and tcp or or", UNKNOWN_HOST, "     ^"),
    ("tcp port 80 and host x.invalid.", "unknown host 'x.invalid.'", "                     ^"),
    ("port http or port htttp", "unknown port 'htttp'", "                  ^"),
    ("port 99999", "illegal port number 99999 > 65535", "     ^"),
    ("vlan 5000 and tcp", "VLAN tag 5000 greater than maximum 4095", "     ^"),
    ("tcp port 80 or tcp host 1.2.3.4", "'tcp' modifier applied to host", "               ^"),
    ("tcp or 443", "syntax error in filter expression", "       ^"),
    ("net 1.2.3.4/33", "mask length must be <= 32", "            ^"),
    ("net 10.0.0.1/8", "non-network bits set in \"10.0.0.1/8\"", "    ^"),
    ("host 300.1.1.1", "invalid IPv4 address '300.1.1.1'", "     ^"),
    ("ip proto foo", "unknown ip proto 'foo'", "         ^"),
    ("tcp[0:3] = 1", "data size must be 1, 2, or 4", "      ^"),
    ("ip[0] = 1/0", "division by zero", "          ^"),
    ("len >> 33 > 1", "shift by more than 31 bits", "       ^"),
    ("ip and arp", "expression rejects all packets", "       ^"),
    ("gateway foo", "'gateway' not supported in this configuration", "^"),
    ("\ttcp foo", SYNTAX, "\t    ^"),
    ("vxlan 16777216", "VXLAN VNI 16777216 greater than maximum 16777215", "      ^"),
    ("vxlan tcp", SYNTAX, "      ^"),
    ("vxlan and", SYNTAX, "         ^"),
    ("host 10.0.0.1 and vxlan 5 (tcp)", SYNTAX, "                          ^"),
    ("(vxlan 5 and tcp foo)", SYNTAX, "                 ^"),
    ("vxlan and port htttp", "unknown port 'htttp'", "               ^"),
    (
        "port 53 or vxlan and tcp or 443",
        "syntax error in filter expression",
        "                            ^",
    ),
    ("vxlan 5 and mpls and vxlan", "'vxlan' is not known behind 'mpls'", "                     ^"),
    (
        "tcp and vxlan 5 and tcp host 1.2.3.4",
        "'tcp' modifier applied to host",
        "                    ^",
    ),
];
const SYNTAX: &str = "can't parse filter expression: syntax error";
const UNKNOWN_HOST: &str = "unknown host 'a.invalid.'";

#[test]
fn a_caret_stands_under_what_is_wrong() {
    let mut wrong = Vec::new();
    for (expression, message, caret) in WRONG {
        let error = Filter::parse(expression, &Options::default()).unwrap_err();
        assert!(matches!(error, Error::Syntax { .. }), "{error:?}");
        let expected = format!("{message}\n{expression}\n{caret}");
        if error.to_string() != expected {
            wrong.push(format!("{error}\ninstead of\n{expected}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_libpcap_accepts_is_not_wrong() {
    for expression in ["", "0 = 0", "port 80 or (443)", "not not tcp", "wlan host 0:0:0:0:0:1"] {
        Filter::parse(expression, &Options::default()).unwrap();
    }
}

#[test]
fn a_long_expression_is_searched_quickly() {
    let hosts: Vec<String> = (0..256).map(|last| format!("host 10.1.2.{last}")).collect();
    let right = hosts.join(" or ");
    let wrong = format!("{right} and and tcp");
    let Err(Error::Syntax { at, .. }) = Filter::parse(&wrong, &Options::default()) else {
        panic!("it is wrong")
    };
    assert_eq!(at, right.len() + " and ".len());
}

#[test]
fn other_ports_may_mean_vxlan() {
    let mut frame = vec![0; 64];
    (frame[12], frame[14], frame[23]) = (8, 0x45, 17);
    frame[36..38].copy_from_slice(&4790_u16.to_be_bytes());
    frame[42] = 8;
    let packet = super::whole(crate::capture::LinkType::ETHERNET, &frame);
    let accepts = |vxlan_ports: &[u16]| {
        let options = Options { vxlan_ports: vxlan_ports.to_vec(), ..Options::default() };
        let filter = Filter::parse("vxlan 0", &options).unwrap();
        let code = super::Machine::new(&filter).accepts(&packet);
        assert_eq!(code, filter.accepts(&packet));
        code
    };
    assert!(accepts(&[1, 4790]) && !accepts(&[4789]) && !accepts(&[]));
}
