//! From tokens to a tree, by CEL's grammar.

use super::check;
use super::lex::{Lexeme, Token, Wrong, lex};
use super::tree::{Binary, Field, Gives, Kind, Literal, Loop, Node, Type};

/// Levels of brackets, and of the tree; evaluation recurses as deep.
pub(super) const MAX_DEPTH: usize = 32;

/// CEL keeps these words for itself.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The whole text as one expression.
pub(super) fn parse(text: &str) -> Result<Node, Wrong> {
    let mut parser = Parser {
        lexemes: lex(text)?,
        at: 0,
        depth: 0,
        locals: Vec::new(),
    };
    let tree = parser.expression()?;
    match parser.token() {
        Token::End => Ok(tree),
        other => Err((parser.start(), format!("{} cannot stand here", shown(other)))),
    }
}

/// A token in a message.
fn shown(token: &Token) -> String {
    match token {
        Token::Name(name) => clipped(name),
        Token::Sign(sign) => (*sign).into(),
        Token::Text(_) => "a string".into(),
        Token::Int(_) | Token::Uint(_) | Token::Double(_) => "a number".into(),
        Token::End => "the end".into(),
    }
}

/// A name in a message, not at any length.
fn clipped(name: &str) -> String {
    if name.chars().count() <= 40 {
        return format!("`{name}`");
    }
    format!("`{}…`", name.chars().take(40).collect::<String>())
}

struct Parser {
    lexemes: Vec<Lexeme>,
    at: usize,
    depth: usize,
    /// The variables of the macros around this place; the last one is the innermost.
    locals: Vec<Box<str>>,
}

impl Parser {
    fn lexeme(&self) -> &Lexeme {
        // The last one is the end, and is never passed.
        &self.lexemes[self.at.min(self.lexemes.len() - 1)]
    }

    fn token(&self) -> &Token {
        &self.lexeme().token
    }

    fn start(&self) -> usize {
        self.lexeme().start
    }

    /// Where the token before this one ended.
    fn end(&self) -> usize {
        self.at
            .checked_sub(1)
            .and_then(|at| self.lexemes.get(at))
            .map_or(0, |lexeme| lexeme.end)
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.token(), Token::Sign(this) if *this == sign)
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.lexemes.len() - 1);
    }

    fn accept(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Wrong> {
        if self.accept(sign) {
            return Ok(());
        }
        Err((
            self.start(),
            format!("{sign} is expected here, not {}", shown(self.token())),
        ))
    }

    /// A part from `start` to the last token that was taken.
    fn node(&self, kind: Kind, kind_of: Type, start: usize) -> Result<Node, Wrong> {
        let depth = 1 + kind.children().iter().map(|child| child.depth).max().unwrap_or(0);
        if depth > MAX_DEPTH {
            return Err((
                start,
                format!("the expression is nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        Ok(Node {
            kind,
            kind_of,
            start,
            end: self.end(),
            depth,
        })
    }

    /// Goes a level deeper, within the limit.
    fn within<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Wrong>) -> Result<T, Wrong> {
        if self.depth == MAX_DEPTH {
            return Err((
                self.start(),
                format!("the expression is nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn expression(&mut self) -> Result<Node, Wrong> {
        self.within(|this| {
            let start = this.start();
            let condition = this.any_of()?;
            if !this.accept("?") {
                return Ok(condition);
            }
            check::boolean(&condition, "before ? stands")?;
            let then = this.any_of()?;
            this.expect(":")?;
            let otherwise = this.expression()?;
            let kind_of = check::either(then.kind_of, otherwise.kind_of);
            this.node(
                Kind::Choice(Box::new([condition, then, otherwise])),
                kind_of,
                start,
            )
        })
    }

    fn any_of(&mut self) -> Result<Node, Wrong> {
        self.connected("||", Self::all_of, Kind::Or)
    }

    fn all_of(&mut self) -> Result<Node, Wrong> {
        self.connected("&&", Self::comparison, Kind::And)
    }

    fn connected(
        &mut self,
        sign: &'static str,
        part: fn(&mut Self) -> Result<Node, Wrong>,
        kind: fn(Vec<Node>) -> Kind,
    ) -> Result<Node, Wrong> {
        let start = self.start();
        let first = part(self)?;
        if !self.is(sign) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.accept(sign) {
            parts.push(part(self)?);
        }
        for part in &parts {
            check::boolean(part, &format!("beside {sign} stands"))?;
        }
        self.node(kind(parts), Type::Bool, start)
    }

    fn comparison(&mut self) -> Result<Node, Wrong> {
        self.binary(Self::sum, |token| {
            Some(match token {
                Token::Sign("==") => Binary::Equal,
                Token::Sign("!=") => Binary::NotEqual,
                Token::Sign("<") => Binary::Less,
                Token::Sign("<=") => Binary::LessEqual,
                Token::Sign(">") => Binary::Greater,
                Token::Sign(">=") => Binary::GreaterEqual,
                Token::Name(name) if &**name == "in" => Binary::In,
                _ => return None,
            })
        })
    }

    fn sum(&mut self) -> Result<Node, Wrong> {
        self.binary(Self::product, |token| {
            Some(match token {
                Token::Sign("+") => Binary::Add,
                Token::Sign("-") => Binary::Subtract,
                _ => return None,
            })
        })
    }

    fn product(&mut self) -> Result<Node, Wrong> {
        self.binary(Self::unary, |token| {
            Some(match token {
                Token::Sign("*") => Binary::Multiply,
                Token::Sign("/") => Binary::Divide,
                Token::Sign("%") => Binary::Remainder,
                _ => return None,
            })
        })
    }

    fn binary(
        &mut self,
        part: fn(&mut Self) -> Result<Node, Wrong>,
        operator: fn(&Token) -> Option<Binary>,
    ) -> Result<Node, Wrong> {
        let start = self.start();
        let mut left = part(self)?;
        while let Some(operator) = operator(self.token()) {
            let at = self.start();
            self.advance();
            let right = part(self)?;
            let kind_of = check::binary(operator, &left, &right).map_err(|why| (at, why))?;
            left = self.node(Kind::Binary(operator, Box::new([left, right])), kind_of, start)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, Wrong> {
        let start = self.start();
        if self.accept("!") {
            let of = self.within(Self::unary)?;
            check::boolean(&of, "after ! stands")?;
            return self.node(Kind::Not(Box::new(of)), Type::Bool, start);
        }
        if self.accept("-") {
            if let Token::Int(size) = *self.token() {
                // The smallest number has no positive counterpart.
                if let Some(negative) = 0_i64.checked_sub_unsigned(size) {
                    self.advance();
                    let literal = Kind::Literal(Literal::Int(negative));
                    let node = self.node(literal, Type::Int, start)?;
                    return self.members_of(node, start);
                }
            }
            let of = self.within(Self::unary)?;
            let kind_of = check::negated(&of)?;
            return self.node(Kind::Negate(Box::new(of)), kind_of, start);
        }
        let primary = self.primary()?;
        self.members_of(primary, start)
    }

    /// The members, elements and calls that follow.
    fn members_of(&mut self, mut of: Node, start: usize) -> Result<Node, Wrong> {
        loop {
            if self.accept("[") {
                let at = self.expression()?;
                self.expect("]")?;
                let kind_of = check::indexed(&of, &at)?;
                of = self.node(Kind::Index(Box::new(of), Box::new(at)), kind_of, start)?;
            } else if self.accept(".") {
                let (name, at) = self.name("the name of a member")?;
                of = if self.is("(") {
                    self.method(of, &name, at, start)?
                } else {
                    check::has_members(&of)?;
                    self.node(Kind::Select(Box::new(of), name), Type::Dyn, start)?
                };
            } else if self.is("{") {
                return Err((self.start(), "messages cannot be made here".into()));
            } else {
                return Ok(of);
            }
        }
    }

    /// A name, and where it stands.
    fn name(&mut self, what: &str) -> Result<(Box<str>, usize), Wrong> {
        let at = self.start();
        match self.token() {
            Token::Name(name) => {
                let name = name.clone();
                self.advance();
                Ok((name, at))
            }
            Token::Sign("?") => Err((at, "optional members (.?) are not supported; use has()".into())),
            other => Err((at, format!("{what} is expected here, not {}", shown(other)))),
        }
    }

    fn primary(&mut self) -> Result<Node, Wrong> {
        let start = self.start();
        let literal = |literal, kind_of| (Kind::Literal(literal), kind_of);
        let (kind, kind_of) = match self.token().clone() {
            Token::Text(text) => literal(Literal::Text(text), Type::Text),
            Token::Uint(number) => literal(Literal::Uint(number), Type::Uint),
            Token::Double(number) => literal(Literal::Double(number), Type::Double),
            Token::Int(number) => match i64::try_from(number) {
                Ok(number) => literal(Literal::Int(number), Type::Int),
                Err(_) => {
                    return Err((
                        start,
                        "the whole number is too large; write it with a u or .0".into(),
                    ));
                }
            },
            Token::Name(name) => return self.named(&name, start),
            Token::Sign("(") => {
                self.advance();
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Sign("[") => {
                self.advance();
                let items = self.separated("]", Self::expression)?;
                return self.node(Kind::List(items), Type::List, start);
            }
            Token::Sign("{") => {
                self.advance();
                let entries = self.separated("}", |this| {
                    let key = this.expression()?;
                    check::key(&key)?;
                    this.expect(":")?;
                    Ok((key, this.expression()?))
                })?;
                return self.node(Kind::Map(entries), Type::Map, start);
            }
            Token::End => return Err((start, "a value is expected at the end".into())),
            other => return Err((start, format!("a value is expected here, not {}", shown(&other)))),
        };
        self.advance();
        self.node(kind, kind_of, start)
    }

    /// Items up to the closing sign; a comma may follow the last one.
    fn separated<T>(
        &mut self,
        close: &str,
        item: impl Fn(&mut Self) -> Result<T, Wrong>,
    ) -> Result<Vec<T>, Wrong> {
        let mut items = Vec::new();
        while !self.is(close) {
            items.push(item(self)?);
            if !self.accept(",") {
                break;
            }
        }
        self.expect(close)?;
        Ok(items)
    }

    /// What a name at the start of a value stands for.
    fn named(&mut self, name: &str, start: usize) -> Result<Node, Wrong> {
        self.advance();
        let literal = |literal, kind_of| (Kind::Literal(literal), kind_of);
        let place = self.locals.iter().rposition(|local| **local == *name);
        let (kind, kind_of) = match (name, place) {
            ("true", _) => literal(Literal::Bool(true), Type::Bool),
            ("false", _) => literal(Literal::Bool(false), Type::Bool),
            ("null", _) => literal(Literal::Null, Type::Null),
            ("has", _) if self.is("(") => return self.has(start),
            _ if self.is("(") => {
                let arguments = self.arguments()?;
                let (kind, kind_of) = check::function(name, start, arguments)?;
                (kind, kind_of)
            }
            (_, Some(place)) => (Kind::Local(place), Type::Dyn),
            ("event", _) => {
                let field = self.event_field(start)?;
                (Kind::Event(field), check::field(field))
            }
            ("payload", _) => (Kind::Payload, Type::Map),
            _ => match Type::NAMED.into_iter().find(|kind| kind.name() == name) {
                Some(kind) => literal(Literal::Type(kind), Type::Type),
                None => return Err((start, unknown_name(name))),
            },
        };
        self.node(kind, kind_of, start)
    }

    /// The member that must follow `event`.
    fn event_field(&mut self, start: usize) -> Result<Field, Wrong> {
        let known = || Field::ALL.map(|(name, _)| name).join(", ");
        if !self.accept(".") {
            return Err((start, format!("event needs a member: one of {}", known())));
        }
        let (name, at) = self.name("a member of event")?;
        Field::ALL
            .into_iter()
            .find(|(known, _)| *known == &*name)
            .map(|(_, field)| field)
            .ok_or_else(|| {
                (
                    at,
                    format!("event has no member {}; it has {}", clipped(&name), known()),
                )
            })
    }

    fn has(&mut self, start: usize) -> Result<Node, Wrong> {
        let at = self.start();
        let mut arguments = self.arguments()?;
        let kind = match (arguments.pop(), arguments.is_empty()) {
            (
                Some(Node {
                    kind: Kind::Select(of, member),
                    ..
                }),
                true,
            ) => Kind::Has(of, member),
            (
                Some(Node {
                    kind: Kind::Event(field),
                    ..
                }),
                true,
            ) => Kind::HasEvent(field),
            _ => return Err((at, "has() takes one member, such as has(payload.plan)".into())),
        };
        self.node(kind, Type::Bool, start)
    }

    fn arguments(&mut self) -> Result<Vec<Node>, Wrong> {
        self.expect("(")?;
        self.separated(")", Self::expression)
    }

    /// A call behind a value: a macro with a variable of its own, or a function.
    fn method(&mut self, of: Node, name: &str, at: usize, start: usize) -> Result<Node, Wrong> {
        let gives = match name {
            "all" => Gives::All,
            "exists" => Gives::Exists,
            "exists_one" | "existsOne" => Gives::ExistsOne,
            "filter" => Gives::Filter,
            "map" => Gives::Map,
            _ => {
                let arguments = self.arguments()?;
                let (kind, kind_of) = check::method(name, at, of, arguments)?;
                return self.node(kind, kind_of, start);
            }
        };
        check::iterable(&of)?;
        self.expect("(")?;
        let (local, place) = self.name("the name of a variable")?;
        if RESERVED.contains(&&*local)
            || ["true", "false", "null", "in", "event", "payload"].contains(&&*local)
        {
            return Err((place, format!("{} cannot be a variable", clipped(&local))));
        }
        self.expect(",")?;
        self.locals.push(local);
        let first = self.expression();
        let second = match &first {
            Ok(_) if gives == Gives::Map && self.accept(",") => Some(self.expression()).transpose(),
            _ => Ok(None),
        };
        self.locals.pop();
        let (filter, body) = match (first?, second?) {
            (filter, Some(body)) => (Some(filter), body),
            (body, None) => (None, body),
        };
        self.expect(")")?;
        if gives != Gives::Map {
            check::boolean(&body, &format!("in {name}() stands"))?;
        }
        if let Some(filter) = &filter {
            check::boolean(filter, "in the middle of map() stands")?;
        }
        let kind_of = match gives {
            Gives::All | Gives::Exists | Gives::ExistsOne => Type::Bool,
            Gives::Filter | Gives::Map => Type::List,
        };
        let range = of;
        let kind = Kind::Loop(Box::new(Loop {
            gives,
            range,
            filter,
            body,
        }));
        self.node(kind, kind_of, start)
    }
}

fn unknown_name(name: &str) -> String {
    if RESERVED.contains(&name) || name == "in" {
        return format!(
            "{} is a word of the language and cannot stand here",
            clipped(name)
        );
    }
    format!(
        "there is no variable {}; a condition has event and payload",
        clipped(name)
    )
}
