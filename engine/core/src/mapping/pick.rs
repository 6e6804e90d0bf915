//! The parts of a payload that a mapping names, found in one pass over the text, of which nothing else
//! is kept or built.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Why nothing was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unpicked {
    /// The text is no JSON.
    NoJson,
    /// Too much would have been read again.
    TooCostly,
}

/// More was to be read again than there may be.
const NONE_LEFT: usize = usize::MAX;

/// All paths of a mapping, as a tree.
#[derive(Debug, Default)]
pub(super) struct Paths {
    root: Node,
    slots: usize,
}

#[derive(Debug, Default)]
struct Node {
    slot: Option<usize>,
    children: HashMap<Box<str>, Node>,
}

impl Paths {
    /// Adds a path of names joined by dots; where its value will be among the picked ones.
    pub fn add(&mut self, path: &str) -> usize {
        let mut node = &mut self.root;
        for name in path.split('.') {
            node = node.children.entry(name.into()).or_default();
        }
        let next = self.slots;
        let slot = *node.slot.get_or_insert(next);
        self.slots = self.slots.max(slot + 1);
        slot
    }

    /// The values of a payload at the paths, `None` where a path leads nowhere. Names that are numbers
    /// step into arrays. A value that is picked, and other values within it, is read once more for these: of
    /// all such values, no more than `again` bytes.
    pub fn pick<'de>(&self, payload: &'de str, again: usize) -> Result<Vec<Option<&'de RawValue>>, Unpicked> {
        let mut slots = vec![None; self.slots];
        let mut left = again;
        if self.slots > 0 {
            let walk = Walk {
                node: &self.root,
                slots: &mut slots,
                again: &mut left,
            };
            let walked = walk.within(payload);
            if left == NONE_LEFT {
                return Err(Unpicked::TooCostly);
            }
            walked.map_err(|_| Unpicked::NoJson)?;
        }
        Ok(slots)
    }
}

/// Walks one value.
struct Walk<'n, 's, 'de> {
    node: &'n Node,
    slots: &'s mut [Option<&'de RawValue>],
    /// Bytes that may still be read again.
    again: &'s mut usize,
}

impl<'de> Walk<'_, '_, 'de> {
    /// Into the children, not the value itself.
    fn within(self, text: &'de str) -> serde_json::Result<()> {
        serde::Deserializer::deserialize_any(&mut serde_json::Deserializer::from_str(text), self)
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Some(slot) = self.node.slot else {
            return deserializer.deserialize_any(self);
        };
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        self.slots[slot] = Some(raw);
        if self.node.children.is_empty() {
            return Ok(());
        }
        match self.again.checked_sub(raw.get().len()) {
            Some(left) => *self.again = left,
            None => {
                *self.again = NONE_LEFT;
                return Err(D::Error::custom("too much to read again"));
            }
        }
        self.within(raw.get()).map_err(D::Error::custom)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let index = |name: &str| {
            name.parse()
                .ok()
                .filter(|index: &usize| index.to_string() == name)
        };
        let children = self.node.children.iter();
        let wanted: HashMap<usize, &Node> = children
            .filter_map(|(name, child)| Some((index(name)?, child)))
            .collect();
        for at in 0.. {
            let walked = match wanted.get(&at) {
                Some(node) => items.next_element_seed(Walk {
                    node,
                    slots: &mut *self.slots,
                    again: &mut *self.again,
                })?,
                None => items.next_element::<IgnoredAny>()?.map(|_| ()),
            };
            if walked.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(child) = members.next_key_seed(Name(&self.node.children))? {
            match child {
                Some(node) => members.next_value_seed(Walk {
                    node,
                    slots: &mut *self.slots,
                    again: &mut *self.again,
                })?,
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a key and says which child it leads to.
struct Name<'n>(&'n HashMap<Box<str>, Node>);

impl<'de, 'n> DeserializeSeed<'de> for Name<'n> {
    type Value = Option<&'n Node>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for Name<'n> {
    type Value = Option<&'n Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.get(name))
    }
}
