//! Comma-separated values as in RFC 4180: fields with commas, quotes or line breaks stand in quotes.
//!
//! Two functions of our own instead of the `csv` crate: these files are read whole, hold text and numbers only, and the
//! crate would switch on a feature of `serde_core` for the whole workspace.

use std::borrow::Cow;

/// A field as it stands in the file.
pub(crate) fn escape(field: &str) -> Cow<'_, str> {
    let plain = !field.contains(['"', ',', '\n', '\r']);
    if plain {
        Cow::Borrowed(field)
    } else {
        Cow::Owned(format!("\"{}\"", field.replace('"', "\"\"")))
    }
}

/// A line of fields, with its end.
pub fn line<'a>(fields: impl IntoIterator<Item = impl AsRef<str> + 'a>) -> String {
    let fields: Vec<String> = fields
        .into_iter()
        .map(|field| escape(field.as_ref()).into_owned())
        .collect();
    fields.join(",") + "\n"
}

/// A record of a file.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    /// Line on which it begins, from 1.
    pub(crate) line: u64,
    pub(crate) fields: Vec<String>,
}

/// All records; empty lines are skipped. A quote that is never closed runs to the end of the text.
pub(crate) fn parse(text: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let mut fields = Vec::new();
    let mut field = String::new();
    let (mut line, mut start, mut quoted) = (1, 1, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        line += u64::from(c == '\n');
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            c if quoted => field.push(c),
            ',' => fields.push(std::mem::take(&mut field)),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => {
                end_record(&mut records, &mut fields, &mut field, start);
                start = line;
            }
            c => field.push(c),
        }
    }
    end_record(&mut records, &mut fields, &mut field, start);
    records
}

fn end_record(records: &mut Vec<Record>, fields: &mut Vec<String>, field: &mut String, line: u64) {
    fields.push(std::mem::take(field));
    let fields = std::mem::take(fields);
    if fields.len() > 1 || !fields[0].is_empty() {
        records.push(Record { line, fields });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_know_their_lines() {
        let records = parse("a,b\r\n\"x\ny\",\"say \"\"hi\"\"\"\n\nlast,\n");
        let fields: Vec<_> = records.iter().map(|r| (r.line, r.fields.join("|"))).collect();
        assert_eq!(
            fields,
            [
                (1, "a|b".into()),
                (2, "x\ny|say \"hi\"".into()),
                (5, "last|".into())
            ]
        );
        assert_eq!(parse(""), []);
    }

    proptest! {
        #[test]
        fn whatever_is_written_reads_back(rows in prop::collection::vec(prop::collection::vec(".*|[a,\"\n\r]*", 2..4), 0..4)) {
            let text: String = rows.iter().map(line).collect();
            let read: Vec<_> = parse(&text).into_iter().map(|record| record.fields).collect();
            prop_assert_eq!(read, rows);
        }
    }
}
