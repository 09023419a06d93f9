//! libpcap's own interpreter, the interpreter here and the eBPF code, on the same packets.

use super::*;

#[test]
fn kernel_code_and_interpreter_agree_on_a_frame() {
    use netlab_common::filter_input::*;
    let mut f = [0u8; 60];
    f[12] = 8;
    f[14] = 0x45;
    f[23] = 6;
    f[37] = 80;
    for e in [
        "tcp port 80",
        "udp",
        "tcp[2:2] = 80 or arp",
        "",
        "len > 60",
        "len >= 60",
        "not arp",
        "ether[70]=0",
    ] {
        let filter = Filter::parse(e, &Options::default()).unwrap();
        let code: Vec<u8> =
            filter.instructions().unwrap().into_iter().flat_map(|i| i.to_le_bytes()).collect();
        let mut mem = vec![0; SIZE];
        mem[0] = 60;
        mem[4] = 60;
        mem[8..68].copy_from_slice(&f);
        let vm = rbpf::EbpfVmRaw::new(Some(&code)).unwrap();
        let r = vm.execute_program(&mut mem).unwrap();
        let p = Packet { time: 0, link: LinkType::ETHERNET, wire_len: 60, bytes: &f };
        assert_eq!(r == 1, filter.accepts(&p));
    }
}
