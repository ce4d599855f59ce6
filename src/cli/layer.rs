//! [`Layer`]: the settings that flags give, under the names that `args.toml` and `-c FILE` use.

use toml::{Table, Value};

/// One layer of settings; only what was given is in it.
#[derive(Clone, Debug, Default)]
pub struct Layer(Table);

impl Layer {
    /// Sets `key` (dotted, such as `method.num_tokens`) if there is a value.
    pub fn set(&mut self, key: &str, value: Option<impl Into<Value>>) {
        let Some(value) = value else { return };
        let mut parts = key.split('.').collect::<Vec<_>>();
        let last = parts.pop().unwrap_or(key);
        let mut table = &mut self.0;
        for part in parts {
            let below = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
            if !below.is_table() {
                *below = Value::Table(Table::new());
            }
            match below {
                Value::Table(below) => table = below,
                _ => return,
            }
        }
        table.insert(last.to_owned(), value.into());
    }

    /// Sets a whole number.
    pub fn count(&mut self, key: &str, value: Option<usize>) {
        self.set(key, value.map(|value| value as i64));
    }

    /// Sets `key` to true if the flag was given.
    pub fn switch(&mut self, key: &str, on: bool) {
        self.set(key, on.then_some(true));
    }

    /// Sets two numbers.
    pub fn pair(&mut self, key: &str, value: Option<[f64; 2]>) {
        self.set(key, value.map(|pair| pair.map(Value::Float).to_vec()));
    }

    /// Sets a value written as in a TOML file; what is not TOML is taken as text, so that `opt=sgd` needs no quotes.
    pub fn written(&mut self, key: &str, text: &str) {
        let parsed = format!("value = {text}")
            .parse::<Table>()
            .ok()
            .and_then(|mut table| table.remove("value"));
        self.set(
            key,
            Some(parsed.unwrap_or_else(|| Value::String(text.to_owned()))),
        );
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The table of this layer.
    pub fn into_table(self) -> Table {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_keys_nest_and_absent_values_leave_nothing() {
        let mut layer = Layer::default();
        layer.count("method.num_tokens", Some(5));
        layer.count("method.deep_layers", None);
        layer.switch("half", false);
        layer.pair("augment.rrc_scale", Some([0.5, 1.0]));
        layer.written("opt", "sgd");
        layer.written("lr", "1e-2");
        let expected = "half_absent = 1\nopt = \"sgd\"\nlr = 1e-2\n[method]\nnum_tokens = 5\n[augment]\nrrc_scale = [0.5, 1.0]";
        let mut expected = expected.parse::<Table>().unwrap();
        expected.remove("half_absent");
        assert_eq!(layer.into_table(), expected);
    }
}
