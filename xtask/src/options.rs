//! Command-line options without a library: `--name`, `--name value`, `--name=value`.

/// The options of a task, taken out one by one.
#[derive(Debug)]
pub struct Options {
    rest: Vec<String>,
}

impl Options {
    /// All of them.
    pub fn new(arguments: &[String]) -> Self {
        Self {
            rest: arguments.to_vec(),
        }
    }

    /// Takes a switch out; true if it was there.
    pub fn switch(&mut self, name: &str) -> bool {
        let before = self.rest.len();
        self.rest.retain(|argument| argument != name);
        self.rest.len() < before
    }

    /// Takes an option's value out.
    ///
    /// # Errors
    /// If the option is there without a value.
    pub fn value(&mut self, name: &str) -> Result<Option<String>, String> {
        let with_equals = format!("{name}=");
        if let Some(index) = self
            .rest
            .iter()
            .position(|argument| argument.starts_with(&with_equals))
        {
            return Ok(Some(self.rest.remove(index)[with_equals.len()..].to_owned()));
        }
        let Some(index) = self.rest.iter().position(|argument| argument == name) else {
            return Ok(None);
        };
        self.rest.remove(index);
        if index >= self.rest.len() {
            return Err(format!("{name} needs a value"));
        }
        Ok(Some(self.rest.remove(index)))
    }

    /// Takes a number out.
    ///
    /// # Errors
    /// If the value is no number from `least` to `most`.
    pub fn number(&mut self, name: &str, default: usize, least: usize, most: usize) -> Result<usize, String> {
        let Some(text) = self.value(name)? else {
            return Ok(default);
        };
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(format!(
                "{name} {text}: a number from {least} to {most} is needed"
            )),
        }
    }

    /// Takes the first argument out that is no option.
    pub fn word(&mut self) -> Option<String> {
        let index = self.rest.iter().position(|argument| !argument.starts_with('-'))?;
        Some(self.rest.remove(index))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// If something is left that nobody took.
    pub fn finish(self) -> Result<(), String> {
        match self.rest.first() {
            Some(argument) => Err(format!("{argument} is not known here; see --help")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Options {
        Options::new(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_come_in_any_order_and_form() {
        let mut given = options("--once --oracles 3 --dir=/tmp/x start");
        assert!(given.switch("--once") && !given.switch("--json"));
        assert_eq!(given.number("--oracles", 4, 1, 9), Ok(3));
        assert_eq!(given.number("--nodes", 2, 0, 9), Ok(2));
        assert_eq!(given.value("--dir"), Ok(Some("/tmp/x".into())));
        assert_eq!(given.word(), Some("start".into()));
        assert_eq!(given.finish(), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(
            options("--oracles")
                .number("--oracles", 4, 1, 9)
                .unwrap_err()
                .contains("--oracles")
        );
        assert!(
            options("--oracles 99")
                .number("--oracles", 4, 1, 9)
                .unwrap_err()
                .contains("1 to 9")
        );
        assert!(options("--onec").finish().unwrap_err().contains("--onec"));
    }
}
