//! Protocols of text lines: HTTP and its relatives, and the greeting of SSH.
//!
//! A segment that begins with a request or a response is printed: its first line, or under
//! `-v` all lines up to the first that is no text.

use super::line::{Line, Printed, Truncated, after, first, u8_at};

/// A protocol of text lines.
#[derive(Debug)]
pub(super) struct Text {
    name: &'static str,
    capitals: &'static str,
    /// What requests begin with, with blanks between; a response has its code as the second
    /// word. Empty where each segment is a request or a response.
    commands: &'static str,
}

/// RFC 9112, with WebDAV.
pub(super) const HTTP: Text = Text {
    name: "http",
    capitals: "HTTP",
    commands: "GET PUT COPY HEAD LOCK MOVE POLL POST BCOPY BMOVE MKCOL TRACE LABEL \
               MERGE DELETE SEARCH UNLOCK REPORT UPDATE NOTIFY BDELETE CONNECT OPTIONS \
               CHECKIN PROPFIND CHECKOUT CCM_POST SUBSCRIBE PROPPATCH BPROPFIND \
               BPROPPATCH UNCHECKOUT MKACTIVITY MKWORKSPACE UNSUBSCRIBE RPC_CONNECT \
               VERSION-CONTROL BASELINE-CONTROL",
};

/// RFC 2326.
pub(super) const RTSP: Text = Text {
    name: "rtsp",
    capitals: "RTSP",
    commands: "DESCRIBE ANNOUNCE GET_PARAMETER OPTIONS PAUSE PLAY RECORD REDIRECT SETUP \
               SET_PARAMETER TEARDOWN",
};

/// RFC 3261.
pub(super) const SIP: Text = Text {
    name: "sip",
    capitals: "SIP",
    commands: "ACK BYE CANCEL DO INFO INVITE MESSAGE NOTIFY OPTIONS PRACK QAUTH REFER \
               REGISTER SPRACK SUBSCRIBE UPDATE PUBLISH",
};

/// RFC 959.
pub(super) const FTP: Text = Text { name: "ftp", capitals: "FTP", commands: "" };
/// RFC 5321.
pub(super) const SMTP: Text = Text { name: "smtp", capitals: "SMTP", commands: "" };
/// RFC 3912.
pub(super) const WHOIS: Text = Text { name: "whois", capitals: "WHOIS", commands: "" };

impl Text {
    /// Prints the name, and lines of `length` bytes of payload.
    pub fn print(&self, line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
        line.protocol(self.name);
        let begins = self.commands.is_empty() || self.begins(first(bytes, length), length);
        line.text(self.capitals);
        if !begins {
            return Ok(());
        }
        if !line.verbose() {
            return print_line(line, ": ", bytes, length).map(drop);
        }
        line.push(format_args!(", length: {length}"));
        let (mut rest, mut left) = (bytes, length);
        while left > 0 {
            match print_line(line, "\n\t", rest, left)? {
                0 => break,
                printed => {
                    rest = after(rest, printed);
                    left -= printed;
                }
            }
        }
        Ok(())
    }

    /// Whether a request or a response begins here.
    fn begins(&self, bytes: &[u8], length: usize) -> bool {
        let Some((word, next)) = word(bytes, length) else { return false };
        if self.commands.split(' ').any(|command| word.eq_ignore_ascii_case(command.as_bytes())) {
            return true;
        }
        // The second word, where there is one.
        let rest = after(bytes, next);
        matches!(self::word(rest, length - next), Some((code, _))
            if code.len() == 3 && code.iter().all(u8::is_ascii_digit))
    }
}

/// A word, and where the next one begins.
fn word(bytes: &[u8], length: usize) -> Option<(&[u8], usize)> {
    const MAX: usize = 128;
    let is_end = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let end = bytes.iter().position(is_end).or((bytes.len() == length).then_some(length))?;
    let word = first(bytes, end);
    if !(1..=MAX).contains(&end) || !word.iter().all(|byte| is_printable(*byte)) {
        return None;
    }
    // A tab ends the blanks, since it is not printable.
    let blanks = after(bytes, end).iter().take_while(|byte| **byte == b' ').count();
    Some((word, end + blanks))
}

/// Prints a line, and tells how long it is with its end; zero where it is no text, or has no
/// end.
fn print_line(
    line: &mut Line<'_>,
    prefix: &str,
    bytes: &[u8],
    length: usize,
) -> Result<usize, Truncated> {
    let mut at = 0;
    while at < length {
        let next = match u8_at(bytes, at)? {
            b'\n' => at + 1,
            b'\r' if at + 1 < length && u8_at(bytes, at + 1)? == b'\n' => at + 2,
            byte if is_printable(byte) || byte == b'\t' => {
                at += 1;
                continue;
            }
            _ => return Ok(0),
        };
        print_text(line, prefix, first(bytes, at));
        return Ok(next);
    }
    print_text(line, prefix, first(bytes, at));
    line.mark();
    Ok(0)
}

fn print_text(line: &mut Line<'_>, prefix: &str, text: &[u8]) {
    line.text(prefix);
    // Only printable ASCII and tabs come here.
    line.text(std::str::from_utf8(text).unwrap_or_default());
}

/// Prints the greeting of SSH (RFC 4253, section 4.2), and nothing of the rest.
pub(super) fn print_ssh(line: &mut Line<'_>, bytes: &[u8], length: usize) -> Printed {
    line.protocol("ssh");
    for (at, expected) in b"SSH-".iter().enumerate() {
        if u8_at(bytes, at)? != *expected {
            return Ok(());
        }
    }
    let mut at = 4;
    while at < length {
        match u8_at(bytes, at)? {
            b'\n' => break,
            b'\r' if at + 1 < length && u8_at(bytes, at + 1)? == b'\n' => break,
            byte if is_printable(byte) => at += 1,
            _ => return Ok(()),
        }
    }
    if at < length {
        print_text(line, ": SSH: ", first(bytes, at));
    }
    Ok(())
}

/// Prints a byte as a character, or as what stands for it: `^A`, `M-a`.
pub(super) fn print_char(line: &mut Line<'_>, byte: u8) {
    if byte >= 0x80 {
        line.text("M-");
    }
    let ascii = byte & 0x7f;
    if is_printable(ascii) {
        line.push(format_args!("{}", ascii as char));
    } else {
        line.push(format_args!("^{}", (ascii ^ 0x40) as char));
    }
}

const fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e)
}
