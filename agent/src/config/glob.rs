//! Name patterns with `*` and `?`.

use serde::Deserialize;

/// A pattern for interface names: `*` is any run of characters, `?` one character, all else itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// The pattern as given.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    /// Whether the whole of `name` fits. Linear in the name for each `*`, never exponential.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name): (Vec<char>, Vec<char>) = (self.0.chars().collect(), name.chars().collect());
        let (mut p, mut n) = (0, 0);
        let mut retry: Option<(usize, usize)> = None; // after the last `*`, and how much of the name it ate
        while n < name.len() {
            match pattern.get(p) {
                Some('*') => {
                    retry = Some((p + 1, n));
                    p += 1;
                }
                Some(&c) if c == '?' || c == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => {
                    let Some((after_star, eaten)) = retry else { return false };
                    retry = Some((after_star, eaten + 1));
                    p = after_star;
                    n = eaten + 1;
                }
            }
        }
        pattern[p..].iter().all(|&c| c == '*')
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pattern = String::deserialize(deserializer)?;
        if pattern.is_empty() {
            return Err(serde::de::Error::custom("a pattern for interface names is not empty; `*` is any"));
        }
        Ok(Self(pattern))
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn stars_and_question_marks_match_as_in_a_shell() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("*", "eth0", true),
            ("eth*", "eth0", true),
            ("eth*", "weth0", false),
            ("*eth*0", "vethab0", true),
            ("eth?", "eth", false),
            ("eth?", "eth1", true),
            ("eth?", "eth10", false),
            ("a*b*c", "aXXbYYbZc", true),
            ("a*b*c", "aXXbYYbZ", false),
            ("", "x", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), fits, "{pattern} {name}");
        }
    }
}
