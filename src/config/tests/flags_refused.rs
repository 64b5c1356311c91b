//! Flags: what is refused of them, each at its place.

use crate::config::tests::refused;

const SHOP: &str = "[route.shop]\nupstream = \"base\"\n";

#[test]
fn the_name_of_a_flag_is_that_of_a_version_or_a_word() {
    let what = "is not an identity of 1 to 128 letters, digits, \"-\", \"_\", \".\" and \"+\"";
    refused(
        "[flag.\"a:b\"]\n[flag.\"a b\"]\n[flag.\"\"]\n[flag.\"a.b+c_d-1\"]\n",
        &[
            &format!("1:7 flag.\"a:b\": \"a:b\" {what}"),
            &format!("2:7 flag.\"a b\": \"a b\" {what}"),
            &format!("3:7 flag.\"\": \"\" {what}"),
        ],
    );
}

#[test]
fn the_keys_of_a_flag_are_checked() {
    let long = "x".repeat(65);
    refused(
        &format!(
            "[flag.a]\ntype = \"bool\"\ndescription = \" \"\nowner = \"{long}\"\n\
             tags = [\"a\", \"a\", \"\"]\ncreated = \"soon\"\nexpires = 5\npermanent = 1\n\
             enabled = \"yes\"\nsalt = \"\"\nvariant = \"on\"\n"
        ),
        &[
            "2:8 flag.a.type: \"bool\" is not \"boolean\" or \"string\" or \"integer\" or \"float\" or \
             \"object\"",
            "3:15 flag.a.description: \" \" is not a text",
            "4:9 flag.a.owner: has more than 64 characters",
            "5:14 flag.a.tags[1]: \"a\" stands there twice",
            "5:19 flag.a.tags[2]: \"\" is not a text",
            "6:11 flag.a.created: \"soon\" is not a date of RFC 3339 such as 2026-11-24 or \
             2026-11-24T09:00:00Z",
            "7:11 flag.a.expires: 5 is not a date",
            "8:13 flag.a.permanent: 1 is not true or false",
            "9:11 flag.a.enabled: \"yes\" is not true or false",
            "10:8 flag.a.salt: \"\" is not a text",
            "11:1 flag.a.variant: unknown key, did you mean variants? (known here: type, description, \
             owner, tags, created, permanent, expires, enabled, kill_switch, client_visible, variants, \
             default_variant, off_variant, salt, prerequisites, rules, inject)",
        ],
    );
}

#[test]
fn a_flag_is_not_called_as_the_api_calls_something_else() {
    refused(
        "[flag.stale]\ntype = \"boolean\"\n",
        &["1:7 flag.stale: is what the API calls the list of flags that should be gone"],
    );
}

#[test]
fn a_flag_has_variants_of_its_type() {
    refused(
        "[flag.a]\ntype = \"string\"\n[flag.b]\nvariants = {}\n[flag.c]\nvariants = 5\n\
         [flag.d]\nvariants = { on = \"true\", \"a b\" = true }\n\
         [flag.e]\ntype = \"integer\"\nvariants = { a = 1.5, b = 1.0, c = \"1\", d = true }\n\
         [flag.f]\ntype = \"float\"\nvariants = { a = inf, b = \"1.5\", c = nan }\n\
         [flag.g]\ntype = \"object\"\nvariants = { a = [1], b = { x = [1, { y = inf }] } }\n\
         [flag.h]\ntype = \"string\"\nvariants = { a = 1 }\n",
        &[
            "1:7 flag.a.variants: missing; what the flag may be, such as { small = 10, large = 50 }, \
             belongs here",
            "4:1 flag.b.variants: empty; a flag has at least one variant",
            "6:12 flag.c.variants: 5 is not a table",
            "8:19 flag.d.variants.on: \"true\" is not true or false",
            "8:27 flag.d.variants.\"a b\": \"a b\" is not a name of 1 to 64 letters, digits, \"-\" and \
             \"_\"",
            "11:18 flag.e.variants.a: 1.5 is not a whole number of 64 bits",
            "11:27 flag.e.variants.b: 1.0 is not a whole number of 64 bits",
            "11:36 flag.e.variants.c: \"1\" is not a whole number of 64 bits",
            "11:45 flag.e.variants.d: true is not a whole number of 64 bits",
            "14:18 flag.f.variants.a: inf is not a number",
            "14:27 flag.f.variants.b: \"1.5\" is not a number",
            "14:38 flag.f.variants.c: nan is not a number",
            "17:18 flag.g.variants.a: an array is not a table",
            "17:43 flag.g.variants.b.x[1].y: inf is not a number that JSON has",
            "20:18 flag.h.variants.a: 1 is not a string",
        ],
    );
}

#[test]
fn a_variant_that_is_named_is_there() {
    refused(
        "[flag.a]\ndefault_variant = \"onn\"\noff_variant = \"of\"\n\
         [flag.b]\ntype = \"string\"\nvariants = { blue = \"b\" }\n\
         [flag.c]\nvariants = { new = true, old = false }\n\
         [flag.d]\ntype = \"string\"\nvariants = { blue = \"b\", red = \"r\" }\ndefault_variant = 1\n",
        &[
            "2:19 flag.a.default_variant: the flag has no variant \"onn\", did you mean \"on\"?",
            "3:15 flag.a.off_variant: the flag has no variant \"of\", did you mean \"off\"?",
            "4:7 flag.b.default_variant: missing; the variant for whom no rule is belongs here",
            "7:7 flag.c.default_variant: missing; the variant for whom no rule is belongs here",
            "12:19 flag.d.default_variant: 1 is not the name of a variant",
        ],
    );
}

#[test]
fn prerequisites_name_flags_and_their_variants() {
    refused(
        "[flag.a]\nprerequisites = [{ flag = \"payment\", variant = \"on\" }, \
         { flag = \"payments\", variant = \"onn\" }, {}, 5]\n\
         [flag.payments]\n[flag.b]\nprerequisites = \"payments\"\n\
         [flag.c]\nprerequisites = [{ flag = \"colour\", variant = \"blu\" }, { flag = \"broken\", variant = \"x\" }]\n\
         [flag.colour]\ntype = \"string\"\nvariants = { blue = \"b\" }\ndefault_variant = \"blue\"\n\
         [flag.broken]\ntype = \"string\"\nvariants = 5\n",
        &[
            "2:27 flag.a.prerequisites[0].flag: there is no flag \"payment\", did you mean \
             \"payments\"?",
            "2:87 flag.a.prerequisites[1].variant: flag payments has no variant \"onn\", did you mean \
             \"on\"?",
            "2:96 flag.a.prerequisites[2].flag: missing; the name of a flag belongs here",
            "2:96 flag.a.prerequisites[2].variant: missing; the name of a variant of that flag belongs \
             here",
            "2:100 flag.a.prerequisites[3]: 5 is not a table",
            "5:17 flag.b.prerequisites: \"payments\" is not a list of flags such as [{ flag = \
             \"payments-v5\", variant = \"on\" }]",
            "7:47 flag.c.prerequisites[0].variant: flag colour has no variant \"blu\", did you mean \
             \"blue\"?",
            "14:12 flag.broken.variants: 5 is not a table",
        ],
    );
}

#[test]
fn no_flag_depends_on_itself() {
    let flag = |name: &str, on: &str| {
        format!("[flag.{name}]\nprerequisites = [{{ flag = \"{on}\", variant = \"on\" }}]\n")
    };
    refused(
        &flag("a", "a"),
        &["2:27 flag.a.prerequisites[0].flag: the flag depends on itself: a → a"],
    );
    let circle = [
        flag("z", "b"),
        flag("b", "c"),
        flag("c", "d"),
        flag("d", "b"),
    ];
    refused(
        &circle.concat(),
        &["4:27 flag.b.prerequisites[0].flag: the flag depends on itself: b → c → d → b"],
    );
}

#[test]
fn no_flag_depends_on_itself_by_a_segment() {
    refused(
        "[segment.new]\nall = [{ attr = \"flag:b\", op = \"eq\", value = \"on\" }]\n\
         [flag.a]\nrules = [{ split = { on = 1, off = 1 } }, { segment = \"new\", serve = \"on\" }]\n\
         [flag.b]\nprerequisites = [{ flag = \"a\", variant = \"on\" }]\n",
        &["4:55 flag.a.rules[1].segment: the flag depends on itself: a → b → a"],
    );
    refused(
        "[segment.own]\nany = [{ all = [{ attr = \"flag:a\", op = \"exists\" }] }]\n\
         [flag.a]\nrules = [{ segment = \"own\", serve = \"on\" }]\n",
        &["4:22 flag.a.rules[0].segment: the flag depends on itself: a → a"],
    );
}

#[test]
fn a_segment_asks_for_flags_that_there_are() {
    refused(
        "[segment.a]\nall = [{ attr = \"flag:new-chekout\", op = \"eq\", value = \"on\" }]\n\
         [segment.b]\nall = [{ attr = \"flag:new-checkout\", op = \"eq\", value = \"onn\" }]\n\
         [segment.c]\nall = [{ attr = \"flag:new-checkout\", op = \"not_in\", values = [\"on\", \"of\"] }]\n\
         [segment.d]\nall = [{ attr = \"flag:new-checkout\", op = \"starts_with\", value = \"o\" }]\n\
         [flag.new-checkout]\n",
        &[
            "2:17 segment.a.all[0].attr: there is no flag \"new-chekout\", did you mean \
             \"new-checkout\"?",
            "4:57 segment.b.all[0].value: flag new-checkout has no variant \"onn\", did you mean \
             \"on\"?",
            "6:69 segment.c.all[0].values[1]: flag new-checkout has no variant \"of\", did you mean \
             \"off\"?",
        ],
    );
}

#[test]
fn rules_are_read_by_their_kinds() {
    refused(
        "[segment.beta]\nall = [{ attr = \"plan\", op = \"exists\" }]\n[flag.a]\nrules = [\n\
         { segment = \"betta\", serve = \"onn\" },\n\
         { serve = \"on\", split = { on = 1 } },\n\
         { name = \"\" },\n\
         { split = { onn = 1, off = -1 } },\n\
         { split = 5 },\n\
         { split = { on = 1 }, bucket_by = \"a b\", salt = \"\" },\n\
         { serve = \"on\", bucket_by = \"org\", salt = \"x\" },\n\
         { serve = \"on\", from = \"soon\" },\n\
         { serve = \"on\", segmnt = \"beta\" },\n\
         5,\n]\n",
        &[
            "5:13 flag.a.rules[0].segment: there is no segment \"betta\", did you mean \"beta\"?",
            "5:30 flag.a.rules[0].serve: the flag has no variant \"onn\", did you mean \"on\"?",
            "6:17 flag.a.rules[1].split: there is `serve` already; a rule gives one variant or splits",
            "7:1 flag.a.rules[2]: gives nothing; `serve = …` or `split = { … }` belongs here",
            "7:10 flag.a.rules[2].name: \"\" is not a text",
            "8:13 flag.a.rules[3].split.onn: the flag has no variant \"onn\", did you mean \"on\"?",
            "8:28 flag.a.rules[3].split.off: -1 is not a whole number from 0 to 1000000",
            "9:11 flag.a.rules[4].split: 5 is not a table",
            "10:35 flag.a.rules[5].bucket_by: \"a b\" is not \"header:NAME\", \"cookie:NAME\", \
             \"query:NAME\", \"client_ip\", \"method\", \"host\", \"path\", \"flag:NAME\" or a key of \
             the evaluation context such as \"country\"",
            "10:49 flag.a.rules[5].salt: \"\" is not a text",
            "11:17 flag.a.rules[6].bucket_by: has no effect on a rule without a split",
            "11:36 flag.a.rules[6].salt: has no effect on a rule without a split",
            "12:24 flag.a.rules[7].from: \"soon\" is not a date of RFC 3339 such as 2026-11-24 or \
             2026-11-24T09:00:00Z",
            "13:17 flag.a.rules[8].segmnt: unknown key, did you mean segment? (known here: name, \
             segment, serve, split, bucket_by, salt, from, to)",
            "14:1 flag.a.rules[9]: 5 is not a table",
        ],
    );
}

#[test]
fn rules_are_checked() {
    refused(
        "[flag.a]\nrules = [\n\
         { name = \"x\", split = { on = 0, off = 0 } },\n\
         { name = \"x\", split = {} },\n\
         { split = { on = 1 }, bucket_by = \"flag:a\" },\n\
         { serve = \"on\", from = 2026-11-25, to = 2026-11-24 },\n\
         { split = { on = 1 }, from = 2026-11-24, to = 2026-11-24 },\n\
         { serve = \"on\" },\n\
         { serve = \"off\" },\n]\n",
        &[
            "3:23 flag.a.rules[0].split: all weights are 0; at least one must be more",
            "4:10 flag.a.rules[1].name: rule 1 has this name already",
            "4:23 flag.a.rules[1].split: empty; at least one variant with its weight belongs here",
            "5:35 flag.a.rules[2].bucket_by: `flag:a` tells no users apart",
            "6:41 flag.a.rules[3].to: `to` is not after `from`, so the rule never holds",
            "7:47 flag.a.rules[4].to: `to` is not after `from`, so the rule never holds",
            "9:1 flag.a.rules[6]: never asked: rule 6 before it serves everybody always",
        ],
    );
}

#[test]
fn no_long_row_of_flags_depends_on_each_other() {
    let flag = |n: usize| {
        let on = n + 1;
        format!("[flag.f{n:02}]\nprerequisites = [{{ flag = \"f{on:02}\", variant = \"on\" }}]\n")
    };
    let row: String = (0..32).map(flag).collect();
    refused(
        &format!("{row}[flag.f32]\n"),
        &["1:7 flag.f00: over 32 flags depend on each other in a row"],
    );
}

#[test]
fn what_tells_upstreams_is_checked() {
    let flag = |name: &str, inject: &str| format!("[flag.{name}]\ninject = {{ {inject} }}\n");
    for (header, why) in [
        (
            "Connection",
            "connection cannot tell of a flag: it belongs to one connection and goes no further",
        ),
        (
            "content-length",
            "content-length cannot tell of a flag: it says where the message ends, which tidegate does",
        ),
        (
            "x-forwarded-for",
            "x-forwarded-for cannot tell of a flag: tidegate tells it; the listener's trusted_proxies \
             say whom to believe",
        ),
        (
            "X-Request-Id",
            "x-request-id cannot tell of a flag: trace.request_id names it, and tidegate tells the \
             request's id in it",
        ),
        (
            "cookie",
            "cookie cannot tell of a flag: what clients say in it would be lost",
        ),
        (
            "x-tidegate-route",
            "x-tidegate-route cannot tell of a flag: tidegate tells it: see assignment_headers and mirror",
        ),
        (":path", "\":path\" is not the name of a header"),
        ("a b", "\"a b\" is not the name of a header"),
    ] {
        let text = flag("a", &format!("header = \"{header}\", routes = [\"shop\"]"));
        refused(
            &format!("{text}{SHOP}"),
            &[&format!("2:21 flag.a.inject.header: {why}")],
        );
    }
    refused(
        &format!(
            "{}{}{}{}{}{}{SHOP}[route.page]\nmatch = {{ path = \"/p\" }}\nrespond = {{}}\n\
             [route.flags]\nmatch = {{ path = \"/ofrep\" }}\nofrep = true\n",
            flag(
                "a",
                "header = \"x-flag\", routes = [\"shop\", \"shpo\", \"shop\"]"
            ),
            flag("b", "header = \"X-B\", routes = [\"shop\"]"),
            flag("c", "header = \"x-b\", routes = [\"shop\"]"),
            flag("d", "header = \"x-d\", routes = []"),
            flag("e", "routes = \"shop\""),
            flag("f", "header = \"x-f\", routes = [\"page\", \"flags\"]"),
        ),
        &[
            "2:49 flag.a.inject.routes[1]: there is no route \"shpo\", did you mean \"shop\"?",
            "2:57 flag.a.inject.routes[2]: \"shop\" is named twice",
            "6:21 flag.c.inject.header: tells of flag b on route shop already",
            "8:37 flag.d.inject.routes: empty; at least one route belongs here",
            "10:1 flag.e.inject.header: missing; the name of a header such as \
             \"x-flag-new-checkout\" belongs here",
            "10:21 flag.e.inject.routes: \"shop\" is not a list of routes such as [\"shop\"]",
            "12:38 flag.f.inject.routes[0]: route page is answered by tidegate: there is no upstream that \
             could be told",
            "12:46 flag.f.inject.routes[1]: route flags is answered by tidegate: there is no upstream that \
             could be told",
        ],
    );
    refused(
        &format!(
            "{}{SHOP}request_headers = {{ set = {{ x-a = \"1\" }} }}\n",
            flag("a", "header = \"x-a\", routes = [\"shop\"]")
        ),
        &["2:21 flag.a.inject.header: route shop has an edit of x-a among its request_headers"],
    );
}

#[test]
fn what_requests_have_is_checked() {
    let what = "is not what a request has: \"header:NAME\", \"cookie:NAME\", \"query:NAME\", \
                \"client_ip\", \"method\", \"host\" or \"path\"";
    refused(
        "[flags]\nunused_after = \"0s\"\nconstant_after = 30\n[flags.context]\n\
         a = \"country\"\nb = \"flag:x\"\nc = 5\nhost = \"header:x-host\"\n\"a b\" = \"client_ip\"\n\
         \"header:x\" = \"client_ip\"\n",
        &[
            "2:16 flags.unused_after: \"0s\" is not a duration from 1ms to 400d, such as \"250ms\", \
             \"2s\" or \"5m\"",
            "3:18 flags.constant_after: 30 is not a duration from 1ms to 400d, such as \"250ms\", \
             \"2s\" or \"5m\"",
            &format!("5:5 flags.context.a: \"country\" {what}"),
            &format!("6:5 flags.context.b: \"flag:x\" {what}"),
            &format!("7:5 flags.context.c: 5 {what}"),
            "8:1 flags.context.host: a request has it by itself",
            "9:1 flags.context.\"a b\": a key of a context has letters, digits, \"-\", \"_\" and \".\"",
            "10:1 flags.context.\"header:x\": a key of a context has letters, digits, \"-\", \"_\" and \
             \".\"",
        ],
    );
    refused(
        "[flags]\ncontext = \"country\"\n",
        &["2:11 flags.context: \"country\" is not a table"],
    );
}
