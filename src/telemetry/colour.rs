//! Whether a stream may hold colours: ANSI sequences, which are noise to whatever is no terminal.
//!
//! The environment is asked as most programs do: `NO_COLOR` (no-color.org) goes before
//! `CLICOLOR_FORCE` and `CLICOLOR` (bixense.com/clicolors), and those before what the stream is.

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Colour {
    /// Colours where they are of use.
    #[default]
    Auto,
    /// Colours, whatever the stream is.
    Always,
    /// None.
    Never,
}

impl Colour {
    /// Decides for a stream; `variable` looks up the environment.
    pub fn is_on(self, is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if set("NO_COLOR").is_some() => false,
            Self::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            Self::Auto if set("CLICOLOR").is_some_and(|value| value == "0") => false,
            Self::Auto => is_terminal && !is_dumb(variable),
        }
    }
}

/// True when a terminal can do nothing but take one line after another.
pub fn is_dumb(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

#[cfg(test)]
mod tests {
    use crate::telemetry::colour::Colour;

    #[track_caller]
    fn check(asked: Colour, is_terminal: bool, set: &[(&str, &str)], expected: bool) {
        let is_on = asked.is_on(is_terminal, |name| {
            let found = set.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        assert_eq!(is_on, expected, "{asked:?} {is_terminal} {set:?}");
    }

    const TERM: (&str, &str) = ("TERM", "xterm-256color");

    #[test]
    fn a_terminal_has_colours_and_a_pipe_has_none() {
        check(Colour::Auto, true, &[TERM], true);
        check(Colour::Auto, false, &[TERM], false);
    }

    #[test]
    fn a_terminal_that_knows_no_sequences_gets_none() {
        check(Colour::Auto, true, &[("TERM", "dumb")], false);
        check(Colour::Auto, true, &[], false);
    }

    #[test]
    fn no_color_goes_before_everything_but_an_option() {
        for is_terminal in [true, false] {
            let set = [TERM, ("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")];
            check(Colour::Auto, is_terminal, &set, false);
            check(Colour::Always, is_terminal, &set, true);
        }
        check(Colour::Auto, true, &[TERM, ("NO_COLOR", "")], true);
    }

    #[test]
    fn clicolor_forces_or_refuses() {
        check(Colour::Auto, false, &[("CLICOLOR_FORCE", "1")], true);
        check(Colour::Auto, false, &[("CLICOLOR_FORCE", "0")], false);
        check(Colour::Auto, true, &[TERM, ("CLICOLOR", "0")], false);
        let both = [TERM, ("CLICOLOR_FORCE", "1")];
        check(Colour::Never, true, &both, false);
    }
}
