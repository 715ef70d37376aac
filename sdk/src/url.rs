//! URLs in texts that people see: a node's or gateway's URL may carry a token, in its path as in its
//! query, or a password before its host. Errors, logs and `Debug` name the place and nothing else.

/// Ends the host of a URL.
const BEHIND_HOST: [char; 4] = ['/', '\\', '?', '#'];

/// `http://host:port` of a URL, also of a text that is none.
///
/// ```
/// use medina_sdk::url::place_of;
/// assert_eq!(place_of("https://me:secret@node.example:8545/key?token=x"), "https://node.example:8545");
/// ```
#[must_use]
pub fn place_of(url: &str) -> String {
    let is_scheme = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => format!("{scheme}://{}", host_of(rest)),
        _ => host_of(url).to_owned(),
    }
}

/// What stands before path and query, without who logs in.
fn host_of(rest: &str) -> &str {
    let host = rest.split(BEHIND_HOST).next().unwrap_or_default();
    // Somebody may have written a password there.
    host.rsplit('@').next().unwrap_or_default()
}

/// A text of a library, with each URL in it cut to its place.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let is_end = |sign: char| sign.is_whitespace() || matches!(sign, ')' | '"' | '\'' | '`' | '>');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, from_host) = rest.split_at(at + "://".len());
        let end = from_host.find(is_end).unwrap_or(from_host.len());
        let (url, behind) = from_host.split_at(end);
        shown.push_str(before);
        shown.push_str(host_of(url));
        rest = behind;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn place_is_scheme_host_and_port() {
        for (url, place) in [
            ("http://a:1", "http://a:1"),
            ("wss://a/b?c#d", "wss://a"),
            ("http://me:secret@a:1/x", "http://a:1"),
            ("http://a:1?token=secret", "http://a:1"),
            ("http://[::1]:2/secret", "http://[::1]:2"),
            ("no url?token=secret", "no url"),
            ("a:1/?next=http://secret", "a:1"),
            ("http://a/?next=http://secret", "http://a"),
            ("", ""),
        ] {
            assert_eq!(place_of(url), place, "{url}");
        }
    }

    #[test]
    fn urls_inside_a_text_lose_what_may_be_secret() {
        let text =
            "error sending request for url (http://u:secret@a:1/secret?token=secret): refused";
        let shown = "error sending request for url (http://a:1): refused";
        assert_eq!(without_secrets(text), shown);
        let two = "`http://a/secret` and \"ws://b?secret\" differ";
        assert_eq!(without_secrets(two), "`http://a` and \"ws://b\" differ");
        assert_eq!(without_secrets("no URL: here"), "no URL: here");
    }

    proptest! {
        #[test]
        fn no_secret_behind_a_host_is_shown(
            host in "[a-z]{1,8}", secret in "S[a-zA-Z0-9=&%.-]{4,20}", separator in "[/?#]", behind in "[ )\"]?[a-z ]{0,9}"
        ) {
            let url = format!("http://{host}{separator}{secret}");
            prop_assert!(!place_of(&url).contains(&secret));
            let text = without_secrets(&format!("at {url}{behind}"));
            prop_assert!(!text.contains(&secret), "{text}");
            let place = format!("http://{host}");
            prop_assert!(text.contains(&place), "{}", text);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (place_of(&text), without_secrets(&text));
        }
    }
}
