//! The laws of filters, on expressions and packets by chance; `NETLAB_SEED` chooses others.
//!
//! The oracle is libpcap's own interpreter, and where `vxlan` is, the same on the bytes of
//! the inner frame.

mod carets;
mod expressions;
mod laws;
mod packets;
mod random;

use netlab_common::filter_input::{AT_BYTES, AT_CAPTURED, AT_WIRE_LEN, SIZE};

use super::{Filter, Options, analysis::Analysis, compile};
use crate::capture::{LinkType, Packet};

/// The eBPF code of a filter, in a virtual machine.
struct Machine {
    vm: rbpf::EbpfVmMbuff<'static>,
    input: Vec<u8>,
}

impl Machine {
    fn new(filter: &Filter) -> Self {
        let instructions = filter.instructions().expect("the filter fits the kernel");
        let code: Vec<u8> = instructions.into_iter().flat_map(|one| one.to_le_bytes()).collect();
        // The machine borrows its code, and lives as long as the test.
        let vm = rbpf::EbpfVmMbuff::new(Some(code.leak())).expect("rbpf verifies the code");
        Self { vm, input: vec![0xa5; SIZE] }
    }

    fn accepts(&mut self, packet: &Packet<'_>) -> bool {
        let captured = u32::try_from(packet.bytes.len()).unwrap();
        self.input[AT_CAPTURED..][..4].copy_from_slice(&captured.to_ne_bytes());
        self.input[AT_WIRE_LEN..][..4].copy_from_slice(&packet.wire_len.to_ne_bytes());
        self.input[AT_BYTES..][..packet.bytes.len()].copy_from_slice(packet.bytes);
        let returned = self.vm.execute_program(&[], &self.input).expect("the code runs");
        assert!(returned <= 1, "the code returned {returned}");
        returned == 1
    }
}

fn whole(link: LinkType, bytes: &[u8]) -> Packet<'_> {
    Packet { time: 0, link, wire_len: u32::try_from(bytes.len()).unwrap(), bytes }
}

fn options(link: LinkType) -> Options {
    Options { link, ..Options::default() }
}

/// libpcap's own program; None where libpcap refuses the expression, or its program reads
/// scratch memory that it has not written (as for `geneve or tcp`), which is anything there.
fn libpcap(expression: &str, link: LinkType) -> Option<pcap::BpfProgram> {
    let program = compile::program(expression, link, true).unwrap().ok()?;
    let scratch = Analysis::of(&program).unwritten >> 2;
    let capture = pcap::Capture::dead(compile::dlt(link)).unwrap();
    capture.compile(expression, true).ok().filter(|_| scratch == 0 || !program.is_forward())
}
