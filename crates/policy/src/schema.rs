//! The shape of a policy file, for editors that know JSON schemas.

/// A JSON schema, draft 2020-12, of policy files.
pub const POLICY: &str = include_str!("policy.schema.json");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;
    use serde_json::Value;

    fn schema() -> Value {
        serde_json::from_str(POLICY).unwrap()
    }

    /// The keys that a part of the schema knows.
    fn keys(part: &Value) -> Vec<String> {
        part["properties"].as_object().unwrap().keys().cloned().collect()
    }

    /// What the schema knows and what the reader knows is the same: a key that the reader does not know is named by it.
    #[test]
    fn the_schema_knows_what_the_reader_knows() {
        let wrong = "nonsense = 1\n[classes]\nnonsense = 1\n[findings]\nnonsense = 1\n[[rules]]\nnonsense = 1\n\
                     [[exceptions]]\nnonsense = 1\n[[grants]]\nnonsense = 1\n[[corrections]]\nnonsense = 1\n\
                     [[reviews]]\nnonsense = 1\nanswer = \"nonsense\"\n[[licenses]]\nnonsense = 1\n";
        let mistakes = crate::Policy::parse(wrong).unwrap_err();
        let known = |line: usize| -> Vec<String> {
            let found = mistakes.iter().find(|m| m.line == line && m.message.contains("known are ")).unwrap();
            let mut names: Vec<String> = found.message.split('`').skip(3).step_by(2).map(str::to_owned).collect();
            names.sort();
            names
        };
        let schema = schema();
        let part = |name: &str| schema["properties"][name].clone();
        assert_eq!(keys(&schema), known(1));
        for (name, line) in [("classes", 3), ("findings", 5)] {
            assert_eq!(keys(&part(name)), known(line), "{name}");
        }
        let lists =
            [("rules", 7), ("exceptions", 9), ("grants", 11), ("corrections", 13), ("reviews", 15), ("licenses", 18)];
        for (name, line) in lists {
            assert_eq!(keys(&part(name)["items"]), known(line), "{name}");
        }
        let answers = part("reviews")["items"]["properties"]["answer"]["enum"].clone();
        let message = &mistakes.iter().find(|m| m.line == 16).unwrap().message;
        for answer in answers.as_array().unwrap() {
            assert!(message.contains(answer.as_str().unwrap()), "{message}");
        }
        assert_eq!(answers.as_array().unwrap().len(), crate::review::ANSWERS.len());
        let codes = part("exceptions")["items"]["properties"]["codes"]["items"]["enum"].clone();
        let text = "[[exceptions]]\ncodes = [\"nonsense\"]\n";
        let mistakes = crate::Policy::parse(text).unwrap_err();
        let message = &mistakes.iter().find(|m| m.message.contains("nonsense")).unwrap().message;
        for code in Code::ALL {
            let listed = codes.as_array().unwrap().iter().any(|known| known == code.as_str());
            assert_eq!(listed, message.contains(&format!("`{code}`")), "{code}");
        }
    }
}
