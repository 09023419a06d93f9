//! bpf(2), for what aya has no call for: programs whose code is made at run time, links at the
//! head or the tail of an interface's tc programs, and questions about what others loaded.
//!
//! Everything a descriptor stands for ends with it, also when this process is killed, unless it
//! was pinned.

use std::{
    ffi::{CStr, CString, c_long},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use aya_obj::generated::{
    BPF_F_AFTER, BPF_F_BEFORE, BPF_F_XDP_HAS_FRAGS, bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn,
    bpf_link_info, bpf_link_type, bpf_prog_info, bpf_prog_type,
};

/// What a program is loaded as.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// At an interface's tc hooks.
    Classifier,
    /// At XDP, for frames of several buffers too.
    Xdp,
    /// At a tracepoint: the number of its typedef in the kernel's BTF.
    Tracepoint(u32),
}

/// One instruction of a program.
pub(crate) type Instruction = bpf_insn;

/// Code, destination and source register, offset, immediate: linux/bpf.h has the codes.
pub(crate) fn instruction(code: u8, to: u8, from: u8, off: i16, imm: i32) -> Instruction {
    let registers = bpf_insn::new_bitfield_1(to, from);
    bpf_insn { code, _bitfield_align_1: [], _bitfield_1: registers, off, imm }
}

/// A program that returns zero.
pub(crate) fn return_zero() -> [bpf_insn; 2] {
    /// `BPF_ALU64 | BPF_MOV | BPF_K` and `BPF_JMP | BPF_EXIT` of linux/bpf.h.
    const CODES: [u8; 2] = [0xb7, 0x95];
    CODES.map(|code| instruction(code, 0, 0, 0, 0))
}

/// Loads a program. Where the verifier refuses, the error is its log's end.
pub(crate) fn load(
    name: &str,
    kind: Kind,
    instructions: &[bpf_insn],
    license: &CStr,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_PROG_LOAD reads; every bit pattern is valid.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.insns = instructions.as_ptr() as u64;
    load.insn_cnt = u32::try_from(instructions.len()).map_err(io::Error::other)?;
    load.license = license.as_ptr() as u64;
    for (to, from) in load.prog_name.iter_mut().zip(name.bytes().take(15)) {
        *to = from.cast_signed();
    }
    let (program, attach) = match kind {
        Kind::Classifier => (bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS, None),
        Kind::Xdp => {
            load.prog_flags = BPF_F_XDP_HAS_FRAGS;
            (bpf_prog_type::BPF_PROG_TYPE_XDP, Some(bpf_attach_type::BPF_XDP))
        }
        Kind::Tracepoint(id) => {
            load.attach_btf_id = id;
            (bpf_prog_type::BPF_PROG_TYPE_TRACING, Some(bpf_attach_type::BPF_TRACE_RAW_TP))
        }
    };
    load.prog_type = program as u32;
    load.expected_attach_type = attach.map_or(0, |attach| attach as u32);
    /// As libbpf.
    const ATTEMPTS: usize = 5;
    let mut outcome = call(bpf_cmd::BPF_PROG_LOAD, &mut attr);
    for _ in 1..ATTEMPTS {
        // The verifier gives up where a signal waits. By now it has been delivered.
        if !matches!(&outcome, Err(error) if error.raw_os_error() == Some(libc::EAGAIN)) {
            break;
        }
        outcome = call(bpf_cmd::BPF_PROG_LOAD, &mut attr);
    }
    match outcome {
        Ok(fd) => Ok(owned(fd)),
        Err(error) => Err(with_log(&mut attr, error)),
    }
}

/// Loads once more, for the verifier's log: it costs too much to ask for it each time.
fn with_log(attr: &mut bpf_attr, error: io::Error) -> io::Error {
    const ROOM: u32 = 1 << 20;
    /// Lines of the log's end: the verdict and the instructions before it.
    const LINES: usize = 24;
    let mut log = vec![0_u8; ROOM as usize];
    // SAFETY: as in `load`.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.log_level = 1;
    load.log_size = ROOM;
    load.log_buf = log.as_mut_ptr() as u64;
    if let Ok(fd) = call(bpf_cmd::BPF_PROG_LOAD, attr) {
        // Another time it would do; the first error is what counts.
        drop(owned(fd));
    }
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let text = String::from_utf8_lossy(&log[..end]);
    let lines: Vec<&str> = text.lines().collect();
    match &lines[lines.len().saturating_sub(LINES)..] {
        [] => error,
        tail => io::Error::new(error.kind(), format!("{error}\n{}", tail.join("\n"))),
    }
}

/// Where among the programs of a tc hook.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Position {
    /// tc ingress, ahead of all others.
    IngressHead,
    /// tc egress, behind all others.
    EgressTail,
}

/// Attaches a program to an interface of the calling thread's namespace.
pub(crate) fn attach_to_interface(
    program: &OwnedFd,
    ifindex: u32,
    position: Position,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_LINK_CREATE reads; every bit pattern is valid.
    let link = unsafe { &mut attr.link_create };
    link.__bindgen_anon_1.prog_fd = unsigned(program.as_fd());
    link.__bindgen_anon_2.target_ifindex = ifindex;
    (link.attach_type, link.flags) = match position {
        Position::IngressHead => (bpf_attach_type::BPF_TCX_INGRESS as u32, BPF_F_BEFORE),
        Position::EgressTail => (bpf_attach_type::BPF_TCX_EGRESS as u32, BPF_F_AFTER),
    };
    call(bpf_cmd::BPF_LINK_CREATE, &mut attr).map(owned)
}

/// Attaches an XDP program to an interface of the calling thread's namespace.
pub(crate) fn attach_xdp(program: &OwnedFd, ifindex: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_LINK_CREATE reads; every bit pattern is valid.
    let link = unsafe { &mut attr.link_create };
    link.__bindgen_anon_1.prog_fd = unsigned(program.as_fd());
    link.__bindgen_anon_2.target_ifindex = ifindex;
    link.attach_type = bpf_attach_type::BPF_XDP as u32;
    call(bpf_cmd::BPF_LINK_CREATE, &mut attr).map(owned)
}

/// Gives a link or a program a name in the BPF file system, which keeps it when its last
/// descriptor is closed.
pub(crate) fn pin(object: &OwnedFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_OBJ_PIN reads; the text outlives the call.
    let pin = unsafe { &mut attr.__bindgen_anon_4 };
    (pin.pathname, pin.bpf_fd) = (path.as_ptr() as u64, unsigned(object.as_fd()));
    call(bpf_cmd::BPF_OBJ_PIN, &mut attr).map(|_| ())
}

/// Attaches a program to the tracepoint that it was loaded for.
pub(crate) fn attach_to_tracepoint(program: &OwnedFd) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_RAW_TRACEPOINT_OPEN reads, which with no name
    // attaches any program that was loaded for a BTF function.
    attr.raw_tracepoint.prog_fd = unsigned(program.as_fd());
    call(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr).map(owned)
}

/// Opens a loaded program by its number.
pub(crate) fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_PROG_GET_FD_BY_ID reads.
    let wanted = unsafe { &mut attr.__bindgen_anon_6 };
    wanted.__bindgen_anon_1.prog_id = id;
    call(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attr).map(owned)
}

/// The number of a program, by which others can ask about it.
pub(crate) fn program_id(program: &OwnedFd) -> io::Result<u32> {
    Ok(program_info(program)?.id)
}

/// How often the kernel did not run a program because it ran on that CPU already.
pub(crate) fn recursion_misses(program: &OwnedFd) -> io::Result<u64> {
    Ok(program_info(program)?.recursion_misses)
}

/// The name of a program, by its number; None where there is no such program any more.
pub(crate) fn program_name(id: u32) -> Option<String> {
    describe(id).ok().map(|(name, _)| name)
}

/// The name of a program, by its number, and the hash of its instructions.
pub(crate) fn describe(id: u32) -> io::Result<(String, [u8; 8])> {
    let info = program_by_id(id).and_then(|program| program_info(&program))?;
    let name = info.name.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0);
    let name: Vec<u8> = name.collect();
    Ok((String::from_utf8_lossy(&name).into_owned(), info.tag))
}

/// Numbers of the maps that a program uses, or that were bound to it.
pub(crate) fn maps_of(program: &OwnedFd) -> io::Result<Vec<u32>> {
    let info = program_info(program)?;
    let mut maps = vec![0_u32; info.nr_map_ids as usize];
    // SAFETY: plain numbers, of which zero is one.
    let mut wanted: bpf_prog_info = unsafe { std::mem::zeroed() };
    (wanted.nr_map_ids, wanted.map_ids) = (info.nr_map_ids, maps.as_mut_ptr() as u64);
    ask(program, &mut wanted)?;
    maps.truncate(wanted.nr_map_ids as usize);
    Ok(maps)
}

/// The number of a link, by which others can tell whether it is still there.
pub(crate) fn link_id(link: &OwnedFd) -> io::Result<u32> {
    // SAFETY: plain numbers, of which zero is one.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    ask(link, &mut info)?;
    Ok(info.id)
}

/// Whether a link is still there. Where that cannot be told, it is.
pub(crate) fn link_exists(id: u32) -> bool {
    !matches!(link_by_id(id), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn link_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_LINK_GET_FD_BY_ID reads.
    let wanted = unsafe { &mut attr.__bindgen_anon_6 };
    wanted.__bindgen_anon_1.link_id = id;
    call(bpf_cmd::BPF_LINK_GET_FD_BY_ID, &mut attr).map(owned)
}

/// The number of the link by which a program stands at an interface, XDP or tcx. None where it is
/// by none, where that cannot be read, and where an interface of another namespace has the same
/// number and program, since the kernel does not tell them apart.
pub(crate) fn link_of(program: u32, ifindex: u32) -> Option<u32> {
    let is_it = |info: &bpf_link_info| {
        // SAFETY: the member of the union that the type says.
        let at = unsafe {
            match bpf_link_type::BPF_LINK_TYPE_XDP as u32 {
                xdp if info.type_ == xdp => info.__bindgen_anon_1.xdp.ifindex,
                _ if info.type_ == bpf_link_type::BPF_LINK_TYPE_TCX as u32 => {
                    info.__bindgen_anon_1.tcx.ifindex
                }
                _ => return false,
            }
        };
        info.prog_id == program && at == ifindex
    };
    let ids = std::iter::successors(next_link(0), |id| next_link(*id));
    let mut found = ids.filter(|id| {
        // SAFETY: plain numbers, of which zero is one.
        let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
        link_by_id(*id).and_then(|link| ask(&link, &mut info)).is_ok() && is_it(&info)
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The next link's number behind this one.
fn next_link(after: u32) -> Option<u32> {
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_LINK_GET_NEXT_ID reads.
    let wanted = unsafe { &mut attr.__bindgen_anon_6 };
    wanted.__bindgen_anon_1.start_id = after;
    call(bpf_cmd::BPF_LINK_GET_NEXT_ID, &mut attr).ok()?;
    // SAFETY: the kernel has written the number.
    Some(unsafe { attr.__bindgen_anon_6.next_id })
}

/// What the kernel tells of a program without being lent room for more.
fn program_info(program: &OwnedFd) -> io::Result<bpf_prog_info> {
    // SAFETY: plain numbers, of which zero is one.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    ask(program, &mut info)?;
    Ok(info)
}

/// Fills `info`, whose type the kernel tells from what the descriptor is.
fn ask<T>(subject: &OwnedFd, info: &mut T) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_OBJ_GET_INFO_BY_FD reads.
    let wanted = unsafe { &mut attr.info };
    wanted.bpf_fd = unsigned(subject.as_fd());
    wanted.info_len = u32::try_from(size_of::<T>()).map_err(io::Error::other)?;
    wanted.info = std::ptr::from_mut(info) as u64;
    call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(drop)
}

/// Ties a map to a program, so that whoever finds the program finds the map.
pub(crate) fn bind_map(program: BorrowedFd<'_>, map: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_PROG_BIND_MAP reads.
    let bind = unsafe { &mut attr.prog_bind_map };
    (bind.prog_fd, bind.map_fd) = (unsigned(program), unsigned(map));
    call(bpf_cmd::BPF_PROG_BIND_MAP, &mut attr).map(drop)
}

/// Puts a program into a slot of a program array.
pub(crate) fn set_slot(
    array: BorrowedFd<'_>,
    slot: u32,
    program: BorrowedFd<'_>,
) -> io::Result<()> {
    let value = unsigned(program);
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_MAP_UPDATE_ELEM reads.
    let update = unsafe { &mut attr.__bindgen_anon_2 };
    (update.map_fd, update.key) = (unsigned(array), (&raw const slot) as u64);
    update.__bindgen_anon_1.value = (&raw const value) as u64;
    call(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// Empties a slot of a program array; an empty one is fine.
pub(crate) fn clear_slot(array: BorrowedFd<'_>, slot: u32) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_MAP_DELETE_ELEM reads.
    let delete = unsafe { &mut attr.__bindgen_anon_2 };
    (delete.map_fd, delete.key) = (unsigned(array), (&raw const slot) as u64);
    match call(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Numbers of the programs at an interface's tc hook, of the calling thread's namespace.
pub(crate) fn programs_at(ifindex: u32, attach: bpf_attach_type) -> io::Result<Vec<u32>> {
    const MOST: u32 = 64;
    let mut ids = vec![0_u32; MOST as usize];
    let mut attr = zeroed();
    // SAFETY: the member of the union that BPF_PROG_QUERY reads.
    let query = unsafe { &mut attr.query };
    query.__bindgen_anon_1.target_ifindex = ifindex;
    query.attach_type = attach as u32;
    query.prog_ids = ids.as_mut_ptr() as u64;
    query.__bindgen_anon_2.count = MOST;
    call(bpf_cmd::BPF_PROG_QUERY, &mut attr)?;
    // SAFETY: the kernel has written the count.
    let count = unsafe { attr.query.__bindgen_anon_2.count };
    ids.truncate(count as usize);
    Ok(ids)
}

fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<c_long> {
    // SAFETY: the kernel reads and writes `attr`, and what its caller's pointers in it lead to.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_int, &raw mut *attr, size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(fd: c_long) -> OwnedFd {
    #[expect(clippy::cast_possible_truncation, reason = "the kernel returns an int")]
    // SAFETY: a descriptor that the kernel has just made for us.
    unsafe {
        OwnedFd::from_raw_fd(fd as i32)
    }
}

fn unsigned(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

fn zeroed() -> bpf_attr {
    // SAFETY: plain numbers, of which zero is one.
    unsafe { std::mem::zeroed() }
}
