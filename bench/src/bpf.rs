//! bpf(2) for programs of a few instructions: the generator's, and what it is measured with.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

use aya_obj::generated::{
    BPF_F_TEST_XDP_LIVE_FRAMES, bpf_attach_type, bpf_attr, bpf_attr__bindgen_ty_7, bpf_cmd,
    bpf_insn, bpf_prog_type,
};

/// `BPF_FUNC_redirect` of linux/bpf.h.
const REDIRECT: i32 = 23;
/// `XDP_DROP` and `XDP_PASS` of linux/bpf.h.
const XDP_DROP: i32 = 1;
const XDP_PASS: i32 = 2;
/// Offsets in `struct xdp_md`.
const DATA: i16 = 0;
const DATA_END: i16 = 4;

/// One instruction: opcode, registers, offset, immediate (RFC 9669).
pub fn instruction(code: u8, to: u8, from: u8, off: i16, imm: i32) -> bpf_insn {
    bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(to, from),
        off,
        imm,
    }
}

/// Returns a number.
pub fn answer(number: i32) -> Vec<bpf_insn> {
    vec![instruction(0xb7, 0, 0, 0, number), instruction(0x95, 0, 0, 0, 0)]
}

/// Sends whatever comes to an interface.
pub fn redirect(ifindex: i32) -> Vec<bpf_insn> {
    vec![
        instruction(0xb7, 1, 0, 0, ifindex),
        instruction(0xb7, 2, 0, 0, 0),
        instruction(0x85, 0, 0, 0, REDIRECT),
        instruction(0x95, 0, 0, 0, 0),
    ]
}

/// Lets everything pass at XDP.
pub fn pass() -> Vec<bpf_insn> {
    answer(XDP_PASS)
}

/// Writes a frame, whose length is a multiple of eight, over whatever comes, and then does as
/// `then` says. All of the frame, since frames come back as their last receiver left them.
pub fn emit(frame: &[u8], then: Vec<bpf_insn>) -> Vec<bpf_insn> {
    let (words, _) = frame.as_chunks::<8>();
    let length = i32::try_from(words.len() * 8).unwrap_or(0);
    let mut code = vec![
        instruction(0x61, 2, 1, DATA, 0),
        instruction(0x61, 3, 1, DATA_END, 0),
        instruction(0xbf, 4, 2, 0, 0),
        instruction(0x07, 4, 0, 0, length),
        // Skips the two instructions after it unless the frame is too short.
        instruction(0xbd, 4, 3, 2, 0),
    ];
    code.extend(answer(XDP_DROP));
    for (at, word) in (0..).step_by(8).zip(words) {
        let [a, b, c, d, e, f, g, h] = *word;
        code.push(instruction(0x18, 5, 0, 0, i32::from_ne_bytes([a, b, c, d])));
        code.push(instruction(0, 0, 0, 0, i32::from_ne_bytes([e, f, g, h])));
        code.push(instruction(0x7b, 2, 5, at, 0));
    }
    code.extend(then);
    code
}

/// Loads a program.
pub fn load(kind: bpf_prog_type, instructions: &[bpf_insn]) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_PROG_LOAD reads; every bit pattern is valid.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = kind as u32;
    load.insns = instructions.as_ptr() as u64;
    load.insn_cnt = u32::try_from(instructions.len()).map_err(io::Error::other)?;
    load.license = c"Dual MIT/GPL".as_ptr() as u64;
    call(bpf_cmd::BPF_PROG_LOAD, &mut attr)
        // SAFETY: a descriptor that the kernel has just made for us.
        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a program at tc or XDP of an interface of the calling thread's namespace, behind what is
/// there, for as long as the descriptor is open.
pub fn attach(program: &OwnedFd, ifindex: i32, at: bpf_attach_type) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_LINK_CREATE reads; every bit pattern is valid.
    let link = unsafe { &mut attr.link_create };
    link.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    link.__bindgen_anon_2.target_ifindex = ifindex.cast_unsigned();
    link.attach_type = at as u32;
    call(bpf_cmd::BPF_LINK_CREATE, &mut attr)
        // SAFETY: a descriptor that the kernel has just made for us.
        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends `count` frames from an XDP program: it runs once for each, as if the frame had come
/// to `ifindex` of the calling thread's namespace. What it lets pass is received there.
pub fn send(program: impl AsFd, room: &[u8], ifindex: u32, count: u32) -> io::Result<()> {
    /// Frames a batch: what NAPI takes at once.
    const BATCH: u32 = 64;
    test_run(program, room, ifindex, |test| {
        test.repeat = count;
        test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
        test.batch_size = BATCH;
    })
}

/// Runs an XDP program `count` times on one copy of a frame, as if it had come to `ifindex` of
/// the calling thread's namespace. Nothing travels.
pub fn try_out(program: impl AsFd, frame: &[u8], ifindex: u32, count: u32) -> io::Result<()> {
    test_run(program, frame, ifindex, |test| test.repeat = count)
}

fn test_run(
    program: impl AsFd,
    frame: &[u8],
    ifindex: u32,
    how: impl FnOnce(&mut bpf_attr__bindgen_ty_7),
) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    // `struct xdp_md` of linux/bpf.h: data, data_end, data_meta, ingress_ifindex,
    // rx_queue_index, egress_ifindex.
    let context = [0, length, 0, ifindex, 0, 0];
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_PROG_TEST_RUN reads.
    let test = unsafe { &mut attr.test };
    test.prog_fd = program.as_fd().as_raw_fd().cast_unsigned();
    test.data_in = frame.as_ptr() as u64;
    test.data_size_in = length;
    test.ctx_in = context.as_ptr() as u64;
    test.ctx_size_in = u32::try_from(size_of_val(&context)).map_err(io::Error::other)?;
    how(test);
    call(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr).map(drop)
}

fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes `attr`, and what its caller's pointers in it lead to.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_int, &raw mut *attr, size_of::<bpf_attr>())
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}

fn zeroed() -> bpf_attr {
    // SAFETY: plain numbers, of which zero is one.
    unsafe { std::mem::zeroed() }
}
