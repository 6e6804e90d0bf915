//! A condition's text, cut into tokens.

/// What a token is. Numbers have no sign here.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(Box<str>),
    Text(Box<str>),
    Int(u64),
    Uint(u64),
    Double(f64),
    /// One of [`SIGNS`].
    Sign(&'static str),
    End,
}

/// The longest first, so that `<=` is not read as `<`.
const SIGNS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ",", ".", "(", ")",
    "[", "]", "{", "}", "=",
];

/// A token and the bytes of the text that it is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lexeme {
    pub token: Token,
    pub start: usize,
    pub end: usize,
}

/// What is wrong, and at which byte.
pub(super) type Wrong = (usize, String);

/// Cuts the whole text; the last token is [`Token::End`].
pub(super) fn lex(text: &str) -> Result<Vec<Lexeme>, Wrong> {
    let mut reader = Reader { text, at: 0 };
    let mut lexemes = Vec::new();
    loop {
        reader.skip_blank();
        let start = reader.at;
        let token = reader.token()?;
        let is_end = token == Token::End;
        lexemes.push(Lexeme {
            token,
            start,
            end: reader.at,
        });
        if is_end {
            return Ok(lexemes);
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next character, taken.
    fn take(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn skip_blank(&mut self) {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{c}'));
            if !self.rest().starts_with("//") {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn token(&mut self) -> Result<Token, Wrong> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(Token::End);
        };
        if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            return self.number();
        }
        if first == '"' || first == '\'' {
            return self.quoted(false);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let start = self.at;
            let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
            if !self.rest().starts_with(['"', '\'']) {
                return Ok(Token::Name(name.into()));
            }
            return match name {
                "r" | "R" => self.quoted(true),
                "b" | "B" | "rb" | "br" | "RB" | "BR" | "Rb" | "rB" | "bR" | "Br" => {
                    Err((start, "bytes are not supported; JSON has none".into()))
                }
                _ => Err((self.at, "a string cannot begin here".into())),
            };
        }
        match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            Some("=") => Err((self.at, "= is no operator; equality is ==".into())),
            Some(sign) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            None if matches!(first, '&' | '|') => {
                Err((self.at, format!("{first} is no operator; write {first}{first}")))
            }
            None => Err((self.at, format!("{first:?} cannot stand here"))),
        }
    }

    fn number(&mut self) -> Result<Token, Wrong> {
        let start = self.at;
        let wrong = |what: &str| Err((start, what.to_owned()));
        if let Some(digits) = self.rest().strip_prefix("0x").or(self.rest().strip_prefix("0X")) {
            let length = digits
                .find(|c: char| !c.is_ascii_hexdigit())
                .unwrap_or(digits.len());
            self.at += 2 + length;
            return match u64::from_str_radix(&digits[..length], 16) {
                Ok(number) => self.whole(number),
                Err(_) => wrong("the number is not one of 64 bits"),
            };
        }
        self.take_while(|c| c.is_ascii_digit());
        let mut is_whole = true;
        if self.rest().starts_with('.') && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) {
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
            is_whole = false;
        }
        if self.rest().starts_with(['e', 'E']) {
            self.at += 1;
            if self.rest().starts_with(['+', '-']) {
                self.at += 1;
            }
            if self.take_while(|c| c.is_ascii_digit()).is_empty() {
                return wrong("the number has an e without an exponent");
            }
            is_whole = false;
        }
        let digits = &self.text[start..self.at];
        if is_whole {
            return match digits.parse() {
                Ok(number) => self.whole(number),
                Err(_) => wrong("the whole number is too large for 64 bits; write it with .0"),
            };
        }
        match digits.parse::<f64>() {
            Ok(number) if number.is_finite() && !self.is_in_name() => Ok(Token::Double(number)),
            _ => wrong("this is no number"),
        }
    }

    /// A whole number, with or without the `u` of those without a sign.
    fn whole(&mut self, number: u64) -> Result<Token, Wrong> {
        let token = if self.rest().starts_with(['u', 'U']) {
            self.at += 1;
            Token::Uint(number)
        } else {
            Token::Int(number)
        };
        if self.is_in_name() {
            return Err((self.at, "a number ends where a name begins".into()));
        }
        Ok(token)
    }

    fn is_in_name(&self) -> bool {
        self.rest()
            .starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    }

    fn quoted(&mut self, raw: bool) -> Result<Token, Wrong> {
        let start = self.at;
        let rest = self.rest();
        let quote = ["\"\"\"", "'''", "\"", "'"]
            .into_iter()
            .find(|quote| rest.starts_with(quote))
            .unwrap_or("\"");
        self.at += quote.len();
        let mut text = String::new();
        loop {
            if self.rest().starts_with(quote) {
                self.at += quote.len();
                return Ok(Token::Text(text.into()));
            }
            let at = self.at;
            match self.take() {
                None => return Err((start, "the string is not closed".into())),
                Some('\n' | '\r') if quote.len() == 1 => {
                    return Err((start, "the string is not closed on its line".into()));
                }
                Some('\\') if !raw => text.push(self.escaped(at)?),
                Some(c) => text.push(c),
            }
        }
    }

    /// What follows a backslash, which is at `at`.
    fn escaped(&mut self, at: usize) -> Result<char, Wrong> {
        let wrong = || (at, "no character is written like this".to_owned());
        let letter = self.take().ok_or_else(wrong)?;
        let (digits, radix) = match letter {
            'a' => return Ok('\u{7}'),
            'b' => return Ok('\u{8}'),
            'f' => return Ok('\u{c}'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'v' => return Ok('\u{b}'),
            '\\' | '?' | '"' | '\'' | '`' => return Ok(letter),
            'x' | 'X' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='3' => {
                self.at -= 1;
                (3, 8)
            }
            _ => return Err(wrong()),
        };
        let code = self.rest().get(..digits).ok_or_else(wrong)?;
        if !code.chars().all(|c| c.is_digit(radix)) {
            return Err(wrong());
        }
        self.at += digits;
        let code = u32::from_str_radix(code, radix).map_err(|_| wrong())?;
        char::from_u32(code).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        lex(text)
            .unwrap()
            .into_iter()
            .map(|lexeme| lexeme.token)
            .collect()
    }

    #[test]
    fn numbers_strings_names_and_signs_are_told_apart() {
        assert_eq!(
            tokens("a.b<=0x1F // why\n&& 1.5e3 != 7u"),
            [
                Token::Name("a".into()),
                Token::Sign("."),
                Token::Name("b".into()),
                Token::Sign("<="),
                Token::Int(31),
                Token::Sign("&&"),
                Token::Double(1500.0),
                Token::Sign("!="),
                Token::Uint(7),
                Token::End
            ]
        );
        let text = |text: &str| Token::Text(text.into());
        assert_eq!(
            tokens(r#""a\"\n\u00e9\x41\101" 'it''s' r'\d' """a"b""" ''"#)[..6],
            [
                text("a\"\néAA"),
                text("it"),
                text("s"),
                text("\\d"),
                text("a\"b"),
                text("")
            ]
        );
    }

    #[test]
    fn what_is_no_token_is_refused_where_it_stands() {
        for (text, at) in [
            ("a = b", 2),
            ("a & b", 2),
            ("'open", 0),
            ("'a\nb'", 0),
            ("1 + 99999999999999999999", 4),
            ("1e", 0),
            ("12abc", 2),
            (r"'\q'", 1),
            (r"'\ud800'", 1),
            (r"'\u00'", 1),
            ("b'x'", 0),
            ("a # b", 2),
            ("x é", 2),
        ] {
            assert_eq!(lex(text).unwrap_err().0, at, "{text}");
        }
    }
}
