//! The grammar of expressions: `or` of `and` of conditions, `not`, parentheses.
//!
//! Owns words, their positions and their order. `value` owns what a value means for a column.

use super::value;
use super::{Check, Node};
use crate::schema::columns::{COLUMNS, ColumnSpec, column_spec};
use crate::schema::limits::MAX_CONDITION_DEPTH;

const SYMBOLS: &[&str] = &["<=", ">=", "!=", "!~", "==", "(", ")", "=", "<", ">", "~"];
const KEYWORDS: &[&str] = &["and", "or", "not", "is", "null"];

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Symbol(&'static str),
    End,
}

impl Token {
    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn describe(&self) -> String {
        match self {
            Token::Word(text) | Token::Quoted(text) => format!("{text:?}"),
            Token::Symbol(symbol) => format!("{symbol:?}"),
            Token::End => "the end".into(),
        }
    }
}

/// Reads a whole expression.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let tokens = split(text)?;
    let mut parser = Parser { tokens: &tokens, depth: 0 };
    let node = parser.any()?;
    match parser.next() {
        (_, Token::End) => Ok(node),
        (at, token) => Err(wrong(at, format_args!("expected and, or, or the end, found {}", token.describe()))),
    }
}

/// An error at a character, counted from 1.
fn wrong(at: usize, what: impl std::fmt::Display) -> String {
    format!("at character {at}: {what}")
}

/// The tokens with their places; the last is [`Token::End`].
fn split(text: &str) -> Result<Vec<(usize, Token)>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut at = 1;
    loop {
        let trimmed = rest.trim_start();
        at += rest[..rest.len() - trimmed.len()].chars().count();
        rest = trimmed;
        let Some(first) = rest.chars().next() else { break };
        let (token, length) = match SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            Some(symbol) => (Token::Symbol(symbol), symbol.len()),
            None if first == '"' || first == '\'' => {
                let (text, length) = quoted(rest, first).ok_or_else(|| wrong(at, "this quote is not closed"))?;
                (Token::Quoted(text), length)
            }
            None => {
                let ends = |c: char| c.is_whitespace() || "\"'()=<>~".contains(c);
                let length = rest.find(ends).unwrap_or(rest.len());
                // In `comm!=x` the operator begins with a character that can also be part of a word.
                let length = if rest[length..].starts_with(['=', '~']) && rest[..length].ends_with('!') {
                    length - 1
                } else {
                    length
                };
                (Token::Word(rest[..length].to_string()), length)
            }
        };
        tokens.push((at, token));
        at += rest[..length].chars().count();
        rest = &rest[length..];
    }
    tokens.push((at, Token::End));
    Ok(tokens)
}

/// The text between quotes, in which the quote itself is doubled, and the length of all of it.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((index, c)) = chars.next() {
        if c != quote {
            text.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            text.push(quote);
        } else {
            return Some((text, index + 1));
        }
    }
    None
}

struct Parser<'t> {
    tokens: &'t [(usize, Token)],
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> (usize, &'t Token) {
        self.tokens.first().map_or((0, &Token::End), |(at, token)| (*at, token))
    }

    fn next(&mut self) -> (usize, &'t Token) {
        let first = self.peek();
        self.tokens = self.tokens.get(1..).unwrap_or_default();
        first
    }

    fn take(&mut self, keyword: &str) -> bool {
        let found = self.peek().1.is_keyword(keyword);
        if found {
            self.next();
        }
        found
    }

    fn any(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.all()?];
        while self.take("or") {
            nodes.push(self.all()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) })
    }

    fn all(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.one()?];
        while self.take("and") {
            nodes.push(self.one()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::All(nodes) })
    }

    fn one(&mut self) -> Result<Node, String> {
        let (at, token) = self.next();
        self.depth += 1;
        if self.depth > MAX_CONDITION_DEPTH {
            return Err(wrong(at, format_args!("more than {MAX_CONDITION_DEPTH} levels of nesting")));
        }
        let node = match token {
            Token::Symbol("(") => {
                let node = self.any()?;
                let (at, token) = self.next();
                if *token != Token::Symbol(")") {
                    return Err(wrong(at, format_args!("expected a closing parenthesis, found {}", token.describe())));
                }
                node
            }
            token if token.is_keyword("not") => Node::Not(Box::new(self.one()?)),
            Token::Word(word) if !KEYWORDS.iter().any(|k| token.is_keyword(k)) => self.condition(at, word)?,
            token => return Err(wrong(at, format_args!("expected a column, found {}", token.describe()))),
        };
        self.depth -= 1;
        Ok(node)
    }

    fn condition(&mut self, at: usize, word: &str) -> Result<Node, String> {
        let column = column_spec(word).ok_or_else(|| wrong(at, unknown_column(word)))?;
        if self.take("is") {
            let not = self.take("not");
            let (at, token) = self.next();
            if !token.is_keyword("null") {
                return Err(wrong(at, format_args!("expected null, found {}", token.describe())));
            }
            return Ok(test(column, Check::Null, not));
        }
        let (at, token) = self.next();
        let operator = match token {
            Token::Symbol(symbol) if !"()".contains(symbol) => *symbol,
            token => {
                let wanted =
                    format_args!("expected an operator or `is null` behind {word}, found {}", token.describe());
                return Err(wrong(at, wanted));
            }
        };
        let negated = operator.starts_with('!');
        let (value_at, token) = self.next();
        let text = match token {
            Token::Quoted(text) => text,
            Token::Word(text) if !KEYWORDS.iter().any(|k| token.is_keyword(k)) => text,
            token => return Err(wrong(value_at, format_args!("expected a value, found {}", token.describe()))),
        };
        let check = value::check(column, operator.trim_start_matches('!'), text);
        match check {
            Ok(check) => Ok(test(column, check, negated)),
            Err(value::Wrong::Operator(why)) => Err(wrong(at, why)),
            Err(value::Wrong::Value(why)) => Err(wrong(value_at, why)),
        }
    }
}

fn test(column: &'static ColumnSpec, check: Check, negated: bool) -> Node {
    let test = Node::Test { column, check };
    if negated { Node::Not(Box::new(test)) } else { test }
}

fn unknown_column(word: &str) -> String {
    let names = COLUMNS.iter().map(|c| c.name);
    format!("unknown column {word:?}{}", value::similar(word, names))
}
