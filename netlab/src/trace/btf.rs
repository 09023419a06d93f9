//! What the running kernel's BTF says about its structures: where a field is, what an enum's
//! numbers are called.
//!
//! aya reads BTF too, but keeps it to itself; what it offers is the number of a type. This
//! reads no more than what is asked here: Documentation/bpf/btf.rst is the format.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    path::Path,
};

use super::{Error, Result};

/// Where the kernel shows its own.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Where it shows its modules' too.
const DIRECTORY: &str = "/sys/kernel/btf";

/// `BTF_MAGIC` of linux/btf.h.
const MAGIC: u16 = 0xeb9f;

/// Kinds of types, `BTF_KIND_` of linux/btf.h.
mod kind {
    pub const INT: u32 = 1;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

/// Type information, as the kernel hands it out.
pub struct Btf {
    bytes: Vec<u8>,
    strings: usize,
    /// Of the strings.
    len: u32,
    /// Where each type begins, by its number less one.
    types: Vec<usize>,
}

/// The fixed part of a type.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    members: u32,
    /// The kind flag: members of a struct tell bit offsets and sizes.
    flag: bool,
    /// Size, or the number of another type.
    size_or_type: u32,
    /// Where what is behind the fixed part begins.
    behind: usize,
}

impl Btf {
    /// The running kernel's.
    ///
    /// # Errors
    ///
    /// Where the kernel has none, or has it in a format that is not known here.
    pub fn of_kernel() -> Result<Self> {
        let bytes = fs::read(Path::new(VMLINUX))
            .map_err(|source| Error::Read { what: VMLINUX.to_owned(), source })?;
        Self::parse(bytes).ok_or_else(|| Error::Layout { what: VMLINUX.to_owned() })
    }

    /// Names of the modules that are loaded now and have type information.
    pub fn modules() -> BTreeSet<OsString> {
        let files = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
        let modules = files.filter(|file| file.path() != Path::new(VMLINUX));
        modules.map(|file| file.file_name()).collect()
    }

    /// Those of some modules, of which what cannot be read is left out.
    pub fn of_modules(modules: &BTreeSet<OsString>) -> impl Iterator<Item = Self> {
        let paths = modules.iter().map(|name| Path::new(DIRECTORY).join(name));
        paths.filter_map(|path| Self::parse(fs::read(path).ok()?))
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let word = |at: usize| u32_at(&bytes, at).map(|word| word as usize);
        let magic = u16::from_ne_bytes(*bytes.first_chunk()?);
        if magic != MAGIC {
            return None;
        }
        let header = word(4)?;
        let (start, len) = (header.checked_add(word(8)?)?, word(12)?);
        let strings = header.checked_add(word(16)?)?;
        let end = start.checked_add(len)?;
        let len = u32_at(&bytes, 20)?;
        let mut btf = Self { bytes, strings, len, types: Vec::new() };
        let mut at = start;
        while at < end {
            btf.types.push(at);
            let found = btf.type_at(at)?;
            at = found.behind.checked_add(found.len_behind())?;
        }
        Some(btf)
    }

    /// Offset in bytes of a field in a structure; `path` names fields of fields, anonymous
    /// structures and unions are looked into.
    ///
    /// # Errors
    ///
    /// Where there is no such structure or field, or where it does not begin at a byte.
    pub fn offset(&self, structure: &str, path: &[&str]) -> Result<u32> {
        let missing = || Error::Layout { what: format!("{structure}.{}", path.join(".")) };
        let mut within = self.named(structure, &[kind::STRUCT]).ok_or_else(missing)?;
        let mut bits = 0;
        for field in path {
            let (offset, of) = self.member(within, field).ok_or_else(missing)?;
            bits += offset;
            within = of;
        }
        if bits % 8 == 0 { Ok(bits / 8) } else { Err(missing()) }
    }

    /// The numbers of an enum, and what they are called.
    ///
    /// # Errors
    ///
    /// Where there is none of that name.
    pub fn names(&self, name: &str) -> Result<BTreeMap<u32, &str>> {
        let names = self.named(name, &[kind::ENUM]).and_then(|id| self.enumerators(id));
        names.ok_or_else(|| Error::Layout { what: name.to_owned() })
    }

    /// The numbers above 16 bits of all enums that are called some `drop_reason`, and what they
    /// are called: subsystems have theirs there. `base` is the kernel's own, where this is a
    /// module's, which goes on where that ends.
    pub fn drop_reasons(&self, base: Option<&Self>) -> BTreeMap<u32, String> {
        let mut names = BTreeMap::new();
        let text = |at| {
            let text = match base {
                Some(base) => base.string(at).or_else(|| self.string(at.checked_sub(base.len)?)),
                None => self.string(at),
            };
            std::str::from_utf8(text?).ok()
        };
        let enums = self.types.iter().filter_map(|at| self.type_at(*at));
        for found in enums.filter(|found| found.kind == kind::ENUM) {
            if !text(found.name).is_some_and(|name| name.contains("drop_reason")) {
                continue;
            }
            for index in 0..found.members as usize {
                let at = found.behind + index * 8;
                let name = self.word(at).and_then(text);
                if let (Some(name), Some(number)) = (name, self.word(at + 4))
                    && number >> 16 != 0
                {
                    names.insert(number, name.to_owned());
                }
            }
        }
        names
    }

    /// The number of a typedef.
    ///
    /// # Errors
    ///
    /// Where there is none of that name.
    pub fn typedef(&self, name: &str) -> Result<u32> {
        self.named(name, &[kind::TYPEDEF]).ok_or_else(|| Error::Layout { what: name.to_owned() })
    }

    fn named(&self, name: &str, kinds: &[u32]) -> Option<u32> {
        (1..).zip(&self.types).find_map(|(id, at)| {
            let found = self.type_at(*at)?;
            (kinds.contains(&found.kind) && self.string(found.name)? == name.as_bytes())
                .then_some(id)
        })
    }

    /// Offset in bits, and type, of a field.
    fn member(&self, structure: u32, field: &str) -> Option<(u32, u32)> {
        let within = self.resolve(structure)?;
        if within.kind != kind::STRUCT && within.kind != kind::UNION {
            return None;
        }
        let mut anonymous = Vec::new();
        for index in 0..within.members as usize {
            let at = within.behind + index * 12;
            let (name, of, place) = (self.word(at)?, self.word(at + 4)?, self.word(at + 8)?);
            let bits = if within.flag { place & 0x00ff_ffff } else { place };
            match self.string(name)? {
                [] => anonymous.push((bits, of)),
                found if found == field.as_bytes() => return Some((bits, of)),
                _ => {}
            }
        }
        anonymous
            .into_iter()
            .find_map(|(bits, of)| self.member(of, field).map(|(inner, of)| (bits + inner, of)))
    }

    fn enumerators(&self, id: u32) -> Option<BTreeMap<u32, &str>> {
        let found = self.get(id)?;
        (0..found.members as usize)
            .map(|index| {
                let at = found.behind + index * 8;
                let name = std::str::from_utf8(self.string(self.word(at)?)?).ok()?;
                Some((self.word(at + 4)?, name))
            })
            .collect()
    }

    /// The type behind typedefs and qualifiers.
    fn resolve(&self, id: u32) -> Option<Type> {
        // Chains are short; a bound keeps a damaged one from going round in circles.
        const LONGEST: usize = 32;
        let mut found = self.get(id)?;
        for _ in 0..LONGEST {
            match found.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::TYPE_TAG => {
                    found = self.get(found.size_or_type)?;
                }
                _ => return Some(found),
            }
        }
        None
    }

    fn get(&self, id: u32) -> Option<Type> {
        self.type_at(*self.types.get(id.checked_sub(1)? as usize)?)
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        let info = self.word(at + 4)?;
        Some(Type {
            name: self.word(at)?,
            kind: info >> 24 & 0x1f,
            members: info & 0xffff,
            flag: info >> 31 != 0,
            size_or_type: self.word(at + 8)?,
            behind: at + 12,
        })
    }

    fn word(&self, at: usize) -> Option<u32> {
        u32_at(&self.bytes, at)
    }

    fn string(&self, offset: u32) -> Option<&[u8]> {
        let end = self.strings.checked_add(self.len as usize)?;
        let text = self.bytes.get(self.strings.checked_add(offset as usize)?..end)?;
        text.get(..text.iter().position(|byte| *byte == 0)?)
    }
}

impl Type {
    /// Bytes behind the fixed part.
    const fn len_behind(self) -> usize {
        let members = self.members as usize;
        match self.kind {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => members * 12,
            kind::ENUM | kind::FUNC_PROTO => members * 8,
            _ => 0,
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct outer { int a; struct { short b; short c; }; } ; enum why { NO = 0, YES = 7 };
    /// typedef struct outer alias;`
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0outer\0a\0b\0c\0why\0NO\0YES\0alias\0short\0";
        let name = |wanted: &str| {
            let wanted = [wanted.as_bytes(), b"\0"].concat();
            let at = strings.windows(wanted.len()).position(|found| found == wanted);
            u32::try_from(at.expect("a string of the table")).expect("short")
        };
        let info = |kind: u32, members: u32| kind << 24 | members;
        let types: Vec<u32> = [
            vec![name("int"), info(kind::INT, 0), 4, 32],
            vec![name("short"), info(kind::INT, 0), 2, 16],
            vec![0, info(kind::STRUCT, 2), 4, name("b"), 2, 0, name("c"), 2, 16],
            vec![name("outer"), info(kind::STRUCT, 2), 8, name("a"), 1, 0, 0, 3, 32],
            vec![name("why"), info(kind::ENUM, 2), 4, name("NO"), 0, name("YES"), 7],
            vec![name("alias"), info(kind::TYPEDEF, 0), 4],
        ]
        .concat();
        let types: Vec<u8> = types.into_iter().flat_map(u32::to_ne_bytes).collect();
        let len = |part: &[u8]| u32::try_from(part.len()).expect("short");
        let header = [24, 0, len(&types), len(&types), len(strings)];
        let mut bytes = [&MAGIC.to_ne_bytes()[..], &[1, 0]].concat();
        bytes.extend(header.into_iter().flat_map(u32::to_ne_bytes));
        [&bytes[..], &types, strings].concat()
    }

    #[test]
    fn fields_are_found_in_anonymous_structures_too() {
        let btf = Btf::parse(sample()).unwrap();
        assert_eq!(btf.offset("outer", &["a"]).unwrap(), 0);
        assert_eq!(btf.offset("outer", &["c"]).unwrap(), 6);
        assert!(btf.offset("outer", &["d"]).is_err());
        assert!(btf.offset("inner", &["a"]).is_err());
        assert_eq!(btf.typedef("alias").unwrap(), 6);
    }

    #[test]
    fn enumerators_have_their_names() {
        let btf = Btf::parse(sample()).unwrap();
        assert_eq!(btf.names("why").unwrap(), BTreeMap::from([(0, "NO"), (7, "YES")]));
    }

    #[test]
    fn a_modules_drop_reasons_are_named_with_the_kernels_strings_too() {
        let base = Btf::parse(sample()).unwrap();
        let at = |wanted: &str| {
            let own = b"\0ovs_drop_reason\0LAST_ACTION\0";
            let at = own.windows(wanted.len()).position(|found| found == wanted.as_bytes());
            base.len + u32::try_from(at.unwrap()).unwrap()
        };
        // YES is a string of the kernel's: the fourth of the sample's enum and so on.
        let yes = base.bytes[base.strings..].windows(4).position(|found| found == b"YES\0");
        let yes = u32::try_from(yes.unwrap()).unwrap();
        let words = [
            [at("ovs_drop_reason"), kind::ENUM << 24 | 3, 4],
            [at("LAST_ACTION"), 2 << 16 | 1, yes],
            [2 << 16 | 2, yes, 7],
        ];
        let types: Vec<u8> = words.concat().into_iter().flat_map(u32::to_ne_bytes).collect();
        let strings = b"\0ovs_drop_reason\0LAST_ACTION\0";
        let len = |part: &[u8]| u32::try_from(part.len()).unwrap();
        let header = [24, 0, len(&types), len(&types), len(strings)];
        let mut bytes = [&MAGIC.to_ne_bytes()[..], &[1, 0]].concat();
        bytes.extend(header.into_iter().flat_map(u32::to_ne_bytes));
        let module = Btf::parse([&bytes[..], &types, strings].concat()).unwrap();
        let reasons = [(2 << 16 | 1, "LAST_ACTION".to_owned()), (2 << 16 | 2, "YES".to_owned())];
        assert_eq!(module.drop_reasons(Some(&base)), BTreeMap::from(reasons));
        assert_eq!(base.drop_reasons(None), BTreeMap::new());
    }

    #[test]
    fn damaged_information_is_refused_without_a_panic() {
        let whole = sample();
        for cut in 0..whole.len() {
            if let Some(btf) = Btf::parse(whole[..cut].to_vec()) {
                let _ = (btf.offset("outer", &["c"]), btf.names("why"));
            }
        }
        assert!(Btf::parse(b"not this at all, surely".to_vec()).is_none());
    }
}
