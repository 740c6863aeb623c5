//! Headers as AMQP has them.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString};

use crate::model::message::Value;

/// A table of headers.
pub fn table(headers: impl IntoIterator<Item = (&'static str, Value)>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        let value = match value {
            Value::Text(text) => AMQPValue::LongString(LongString::from(text)),
            Value::Number(number) => AMQPValue::LongLongInt(number),
        };
        table.insert(name.into(), value);
    }
    table
}

/// What stands under a name, whichever of AMQP's many kinds of numbers the sender has.
pub fn header(properties: &BasicProperties, name: &str) -> Option<Value> {
    Some(match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::ShortShortInt(number) => Value::Number((*number).into()),
        AMQPValue::ShortShortUInt(number) => Value::Number((*number).into()),
        AMQPValue::ShortInt(number) => Value::Number((*number).into()),
        AMQPValue::ShortUInt(number) => Value::Number((*number).into()),
        AMQPValue::LongInt(number) => Value::Number((*number).into()),
        AMQPValue::LongUInt(number) => Value::Number((*number).into()),
        AMQPValue::LongLongInt(number) => Value::Number(*number),
        AMQPValue::LongString(text) => {
            Value::Text(std::str::from_utf8(text.as_bytes()).ok()?.into())
        }
        AMQPValue::ShortString(text) => Value::Text(text.as_str().into()),
        _ => return None,
    })
}
