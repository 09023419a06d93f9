//! A filter's code in the kernel: called from a tc program that gives it a map value.

use std::{
    io,
    mem::{size_of, zeroed},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_insn, bpf_map_type, bpf_prog_type};
use netlab::capture::{Packet, filter::Instruction};
use netlab_common::filter_input::{AT_BYTES, AT_CAPTURED, AT_WIRE_LEN, SIZE};

/// What the tc program returns where the map has no value.
const NO_VALUE: i32 = 99;

/// A loaded filter and its input.
pub struct Loaded {
    program: OwnedFd,
    map: OwnedFd,
    input: Vec<u8>,
}

impl Loaded {
    /// Loads a filter.
    ///
    /// # Panics
    ///
    /// With the verifier's log where the kernel refuses it.
    pub fn new(filter: &[Instruction]) -> Self {
        let map = create_map().expect("the kernel makes the map");
        let mut code: Vec<bpf_insn> =
            prologue(map.as_raw_fd()).into_iter().map(Into::into).collect();
        code.extend(filter.iter().copied().map(bpf_insn::from));
        let program = load(&code, &mut []).unwrap_or_else(|error| {
            let mut log = vec![0; 1 << 20];
            let _ = load(&code, &mut log);
            let log = String::from_utf8_lossy(&log);
            panic!("the verifier refuses the code: {error}\n{}", log.trim_end_matches('\0'))
        });
        Self { program, map, input: vec![0; SIZE] }
    }

    /// What the filter returns for a packet, and how many nanoseconds a run takes on average.
    pub fn run(&mut self, packet: &Packet<'_>, repeat: u32) -> (u32, u32) {
        let captured = u32::try_from(packet.bytes.len()).expect("it is small");
        self.input[AT_CAPTURED..][..4].copy_from_slice(&captured.to_ne_bytes());
        self.input[AT_WIRE_LEN..][..4].copy_from_slice(&packet.wire_len.to_ne_bytes());
        self.input[AT_BYTES..][..packet.bytes.len()].copy_from_slice(packet.bytes);
        update(&self.map, &self.input).expect("the map takes the packet");
        test_run(&self.program, repeat).expect("the program runs")
    }
}

/// Looks up the map's only value, and calls what follows with it.
fn prologue(map: i32) -> Vec<Instruction> {
    let of = |code, registers, off, imm| Instruction { code, registers, off, imm };
    vec![
        // *(u32 *)(r10 - 4) = 0; r2 = r10 - 4; r1 = map
        of(0x62, 0x0a, -4, 0),
        of(0xbf, 0xa2, 0, 0),
        of(0x07, 0x02, 0, -4),
        of(0x18, 0x11, 0, map),
        of(0x00, 0x00, 0, 0),
        // bpf_map_lookup_elem; if it finds nothing, return
        of(0x85, 0x00, 0, 1),
        of(0x55, 0x00, 2, 0),
        of(0xb7, 0x00, 0, NO_VALUE),
        of(0x95, 0x00, 0, 0),
        // r1 = r0; call the function behind the next instruction
        of(0xbf, 0x01, 0, 0),
        of(0x85, 0x10, 0, 1),
        of(0x95, 0x00, 0, 0),
    ]
}

fn attributes() -> bpf_attr {
    // SAFETY: the union is plain data, for which the kernel demands zero where nothing is set.
    unsafe { zeroed() }
}

fn bpf(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<i32> {
    let size = size_of::<bpf_attr>();
    // SAFETY: the attributes are initialised, and outlive the call, as does what they point to.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, &raw mut *attributes, size)
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(i32::try_from(result).expect("it is small"))
    }
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just made it, for nobody else.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn create_map() -> io::Result<OwnedFd> {
    let mut attributes = attributes();
    attributes.__bindgen_anon_1.map_type = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
    attributes.__bindgen_anon_1.key_size = 4;
    attributes.__bindgen_anon_1.value_size = u32::try_from(SIZE).expect("it is small");
    attributes.__bindgen_anon_1.max_entries = 1;
    bpf(bpf_cmd::BPF_MAP_CREATE, &mut attributes).map(owned)
}

fn load(code: &[bpf_insn], log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut attributes = attributes();
    attributes.__bindgen_anon_3.prog_type = bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32;
    attributes.__bindgen_anon_3.insn_cnt = u32::try_from(code.len()).expect("it is small");
    attributes.__bindgen_anon_3.insns = code.as_ptr() as u64;
    attributes.__bindgen_anon_3.license = c"Dual MIT/GPL".as_ptr() as u64;
    if !log.is_empty() {
        attributes.__bindgen_anon_3.log_level = 1;
        attributes.__bindgen_anon_3.log_size = u32::try_from(log.len()).expect("it is small");
        attributes.__bindgen_anon_3.log_buf = log.as_mut_ptr() as u64;
    }
    // The verifier gives up with EAGAIN when a signal comes; libbpf tries again, too.
    let mut attempts = (0..10).map(|_| bpf(bpf_cmd::BPF_PROG_LOAD, &mut attributes));
    let interrupted = |result: &io::Result<i32>| {
        result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    };
    let loaded = attempts.find(|result| !interrupted(result));
    loaded.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into())).map(owned)
}

fn update(map: &OwnedFd, value: &[u8]) -> io::Result<()> {
    let key = 0_u32;
    let mut attributes = attributes();
    attributes.__bindgen_anon_2.map_fd = map.as_raw_fd().cast_unsigned();
    attributes.__bindgen_anon_2.key = (&raw const key) as u64;
    attributes.__bindgen_anon_2.__bindgen_anon_1.value = value.as_ptr() as u64;
    bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attributes).map(drop)
}

fn test_run(program: &OwnedFd, repeat: u32) -> io::Result<(u32, u32)> {
    let packet = [0_u8; 64];
    let mut attributes = attributes();
    attributes.test.prog_fd = program.as_raw_fd().cast_unsigned();
    attributes.test.data_in = packet.as_ptr() as u64;
    attributes.test.data_size_in = u32::try_from(packet.len()).expect("it is small");
    attributes.test.repeat = repeat;
    bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attributes)?;
    // SAFETY: the kernel has filled in these two integers.
    Ok(unsafe { (attributes.test.retval, attributes.test.duration) })
}
