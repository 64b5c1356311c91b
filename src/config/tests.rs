//! What the reader says, to the letter.

use std::path::Path;

use crate::config::load::check;

#[test]
fn explore() {
    for text in [
        "",
        "a = ",
        "[listener.http]\naddress = \"127.0.0.1:80\"\n[route.x]\nupstream=\"u\n[[\nk=1\nk=2\n",
        "[listener.http]\naddress = \"127.0.0.1:80\"\naddress=\"1\"",
        "[listener.http]\naddress = \"127.0.0.1:80\"\n[listener.http]\n",
        "\u{feff}[listener.http]\r\naddress = \"127.0.0.1:80\"\r\n[admim]\n",
        "[listener.http]\naddress = 5\nprotocols=[\"h2\",\"http/1.1\",\"h3\",3]\n[upstream.\"a b\"]\n[upstream.b]\nendpoint=[\"app:80\"]\n",
        "[listener]\n",
        "listener=5\n",
        "[[listener.http]]\n",
        "[listener.http]\naddress = \"127.0.0.1:80\"\n[upstream]\na={endpoints=[\"app:80\",\":80\",\"1.2.3.4\",\"1.2.3.4:0\",\"1.2.3.4:5\",\"1.2.3.4:5\",\"[::1]:3\"]}\n[route.shop.split]\ncanary={upstream=\"b\",weight=-5}\nx={upstream=\"a\", wieght=1.0}\nz={upstream=\"a\", weight=1_000_001}\n",
        "listener.http.address = \"127.0.0.1:80\"\nlistener.http.limits.head=\"64kb\"\nlistener.http.timeouts={idle=\"0s\",header=10, body=\"1.5s\", tunnel=\"99999999999999999999d\"}",
    ] {
        println!("-----\n{text}\n");
        match check(text, Path::new("t.toml"), |_, _| {}) {
            Ok(_) => println!("=> ok"),
            Err(problems) => println!("{problems}"),
        }
    }
}
