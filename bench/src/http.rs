//! As much of HTTP/1.1 as a load generator and a receiver on loopback need: the head of a message
//! whose body has a `Content-Length`. Lean on purpose, since both share two cores with the engine.

use anyhow::{Result, bail};

/// The longest head that is read, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// The head of a request or of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The head's bytes, the blank line included.
    pub size: usize,
    /// The body's bytes; nothing when the message has no `Content-Length`.
    pub body: usize,
    /// Where the first line ends.
    pub first_line: usize,
    /// Whether it carries a `webhook-signature`.
    pub signed: bool,
}

impl Head {
    /// Head and body together, in bytes.
    pub fn message(&self) -> usize {
        self.size + self.body
    }
}

/// Reads the head at the start of `bytes`; nothing while its end has not arrived.
pub fn head(bytes: &[u8]) -> Result<Option<Head>> {
    let mut head = Head::default();
    let mut start = 0;
    while let Some(length) = bytes[start..].iter().position(|byte| *byte == b'\n') {
        let line = bytes[start..start + length].trim_ascii_end();
        start += length + 1;
        if head.first_line == 0 {
            head.first_line = line.len();
        } else if line.is_empty() {
            head.size = start;
            return Ok(Some(head));
        } else {
            header(line, &mut head)?;
        }
    }
    if bytes.len() > LONGEST_HEAD {
        bail!("a head of more than {LONGEST_HEAD} bytes");
    }
    Ok(None)
}

fn header(line: &[u8], head: &mut Head) -> Result<()> {
    // The few headers that matter differ in length from nearly all others.
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        bail!("a header without a colon")
    };
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    match colon {
        14 if name.eq_ignore_ascii_case(b"content-length") => {
            let Some(length) = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()) else {
                bail!("a content-length that is no number");
            };
            head.body = length;
        }
        17 if name.eq_ignore_ascii_case(b"transfer-encoding") => bail!("a body without a content-length"),
        17 if name.eq_ignore_ascii_case(b"webhook-signature") => head.signed = true,
        _ => {}
    }
    Ok(())
}

/// The status in an answer's first line.
pub fn status(first_line: &[u8]) -> Result<u16> {
    let code = first_line
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    match code
        .and_then(|code| std::str::from_utf8(code).ok())
        .and_then(|code| code.parse().ok())
    {
        Some(status) => Ok(status),
        None => bail!("no HTTP/1.1 answer: {:?}", String::from_utf8_lossy(first_line)),
    }
}

/// A request, whole. `headers` are lines with their ends.
pub fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole_and_not_before() {
        let bytes = request("POST", "/hook/3", "Webhook-Signature: v1,x\r\n", b"{}");
        let end = bytes.len() - 2;
        for arrived in 0..end {
            assert_eq!(head(&bytes[..arrived]).unwrap(), None, "{arrived}");
        }
        let read = head(&bytes).unwrap().unwrap();
        assert_eq!((read.size, read.body, read.message()), (end, 2, bytes.len()));
        assert_eq!(&bytes[..read.first_line], b"POST /hook/3 HTTP/1.1");
        assert!(read.signed);
    }

    #[test]
    fn an_answer_without_a_body_has_none() {
        let bytes = b"HTTP/1.1 204 No Content\r\n\r\n";
        let read = head(bytes).unwrap().unwrap();
        assert_eq!((read.message(), read.signed), (bytes.len(), false));
        assert_eq!(status(&bytes[..read.first_line]).unwrap(), 204);
    }

    #[test]
    fn what_is_not_understood_is_an_error_and_not_a_guess() {
        for bad in [
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n".to_owned(),
            "x".repeat(LONGEST_HEAD + 1),
        ] {
            assert!(head(bad.as_bytes()).is_err(), "{:.60}", bad);
        }
        assert!(status(b"SSH-2.0-OpenSSH").is_err());
    }
}
