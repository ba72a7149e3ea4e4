package engine

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/stdlib"
)

// libraryRows calls every function of the modules from Tengo's library, and tells what comes of it.
func libraryRows() map[string]string {
	return map[string]string{
		`base64.encode(bytes("a?>"))`:         "YT8+",
		`string(base64.decode("YT8+"))`:       "a?>",
		`base64.raw_encode("a")`:              "YQ",
		`string(base64.raw_decode("YQ"))`:     "a",
		`base64.url_encode("a?>")`:            "YT8-",
		`string(base64.url_decode("YT8-"))`:   "a?>",
		`base64.raw_url_encode("?")`:          "Pw",
		`string(base64.raw_url_decode("Pw"))`: "?",
		`is_error(base64.decode("*"))`:        "true",

		`hex.encode(bytes("\x00\xff"))`: "00ff",
		`string(hex.decode("6162"))`:    "ab",
		`is_error(hex.decode("6"))`:     "true",

		`enum.all([1, 2], func(k, v) { return v > 0 })`:        "true",
		`enum.any({a: 1}, func(k, v) { return k == "b" })`:     "false",
		`enum.chunk([1, 2, 3], 2)`:                             "[[1, 2], [3]]",
		`enum.at([1, 2], 1)`:                                   "2",
		`enum.each([1], func(k, v) {})`:                        "<undefined>",
		`enum.filter([1, 2, 3], func(k, v) { return v != 2 })`: "[1, 3]",
		`enum.find([1, 2], func(k, v) { return v == 2 })`:      "2",
		`enum.find_key([1, 2], func(k, v) { return v == 2 })`:  "1",
		`enum.map([1, 2], enum.value)`:                         "[1, 2]",
		`enum.map([5, 6], enum.key)`:                           "[0, 1]",
		`enum.key(1, 2)`:                                       "1",
		`enum.value(1, 2)`:                                     "2",
		`enum.map(1, enum.key)`:                                "<undefined>",

		`string(json.encode({b: [1, 2.5, true, undefined, 'a', bytes("x")], a: "\"\\\n\r\t\x01é</"}))`: "{\"a\":\"\\\"\\\\\\n\\r\\t\\u0001é</\",\"b\":[1,2.5,true,null,97,\"eA==\"]}",
		`string(json.encode(immutable({a: immutable([1e-9, 1e21, -0.0])})))`:                           `{"a":[1e-9,1e+21,-0]}`,
		`string(json.encode([func() {}, error(1)]))`:                                                   "[null,null]",
		`is_error(json.encode(1e308 * 10))`:                                                            "true",
		`json.decode("{\"a\": [1, 2.5, \"\\u00e9\", null, true]}")`:                                    `{a: [1, 2.5, "é", <undefined>, true]}`,
		`json.decode(bytes("[]"))`:                                                                     "[]",
		`is_error(json.decode("{"))`:                                                                   "true",
		`string(json.indent("{\"a\":[1,{}]}", ">", "  "))`:                                             "{\n>  \"a\": [\n>    1,\n>    {}\n>  ]\n>}",
		`is_error(json.indent("{", "", ""))`:                                                           "true",
		`string(json.html_escape("<&>"))`:                                                              `\u003c\u0026\u003e`,

		`math.abs(-1.5)`:                "1.5",
		`math.acos(1)`:                  "0",
		`math.acosh(1)`:                 "0",
		`math.asin(0)`:                  "0",
		`math.asinh(0)`:                 "0",
		`math.atan(0)`:                  "0",
		`math.atan2(0, 1)`:              "0",
		`math.atanh(0)`:                 "0",
		`math.cbrt(27)`:                 "3",
		`math.ceil(1.2)`:                "2",
		`math.copysign(1, -2)`:          "-1",
		`math.cos(0)`:                   "1",
		`math.cosh(0)`:                  "1",
		`math.dim(5, 3)`:                "2",
		`math.erf(0)`:                   "0",
		`math.erfc(0)`:                  "1",
		`math.exp(0)`:                   "1",
		`math.exp2(3)`:                  "8",
		`math.expm1(0)`:                 "0",
		`math.floor(1.8)`:               "1",
		`math.gamma(5)`:                 "24",
		`math.hypot(3, 4)`:              "5",
		`math.ilogb(8)`:                 "3",
		`math.inf(1)`:                   "+Inf",
		`math.is_inf(math.inf(-1), -1)`: "true",
		`math.is_nan(math.nan())`:       "true",
		`math.j0(0)`:                    "1",
		`math.j1(0)`:                    "0",
		`math.jn(1, 0)`:                 "0",
		`math.ldexp(0.5, 2)`:            "2",
		`math.log(1)`:                   "0",
		`math.log10(100)`:               "2",
		`math.log1p(0)`:                 "0",
		`math.log2(8)`:                  "3",
		`math.logb(8)`:                  "3",
		`math.max(1, 2)`:                "2",
		`math.min(1, 2)`:                "1",
		`math.mod(7, 4)`:                "3",
		`math.nan()`:                    "NaN",
		`math.nextafter(1, 1)`:          "1",
		`math.pow(2, 10)`:               "1024",
		`math.pow10(2)`:                 "100",
		`math.remainder(5, 3)`:          "-1",
		`math.signbit(-1)`:              "true",
		`math.sin(0)`:                   "0",
		`math.sinh(0)`:                  "0",
		`math.sqrt(16)`:                 "4",
		`math.tan(0)`:                   "0",
		`math.tanh(0)`:                  "0",
		`math.trunc(1.8)`:               "1",
		`math.y0(math.inf(1))`:          "0",
		`math.y1(math.inf(1))`:          "0",
		`math.yn(1, math.inf(1))`:       "0",

		`is_int(rand.int())`:                       "true",
		`rand.float() < 1`:                         "true",
		`rand.intn(1)`:                             "0",
		`rand.exp_float() >= 0`:                    "true",
		`is_float(rand.norm_float())`:              "true",
		`rand.perm(1)`:                             "[0]",
		`rand.seed(1)`:                             "<undefined>",
		`rand.read(bytes(3))`:                      "3",
		`rand.rand(1).int() == rand.rand(1).int()`: "true",
		`rand.rand(1).float() < 1`:                 "true",
		`rand.rand(1).intn(1)`:                     "0",
		`rand.rand(1).exp_float() >= 0`:            "true",
		`is_float(rand.rand(1).norm_float())`:      "true",
		`rand.rand(1).perm(1)`:                     "[0]",
		`rand.rand(1).seed(2)`:                     "<undefined>",
		`rand.rand(1).read(bytes(3))`:              "3",

		`text.re_match("b+", "abb")`:                     "true",
		`is_error(text.re_match("(", ""))`:               "true",
		`text.re_find("(b)(x)?", "abb")[0][1].text`:      "b",
		`text.re_find("(b)(x)?", "abb")[0][2].begin`:     "-1",
		`text.re_find("c", "abb")`:                       "<undefined>",
		`len(text.re_find("b", "abb", -1))`:              "2",
		`len(text.re_find("b", "abbb", 2))`:              "2",
		`text.re_find("b", "abb", 0)`:                    "<undefined>",
		`text.re_find("é", "aé")[0][0].end`:              "3",
		`text.re_replace("(b)", "abb", "<$1>")`:          "a<b><b>",
		`text.re_replace("^|b", "ab", "-")`:              "-a-",
		`text.re_split(",", "a,b,c")`:                    `["a", "b", "c"]`,
		`text.re_split(",", "a,b,c", 2)`:                 `["a", "b,c"]`,
		`text.re_split(",", "a", 0)`:                     "[]",
		`text.re_compile("b").match("abb")`:              "true",
		`text.re_compile("b").find("abb")[0][0].begin`:   "1",
		`len(text.re_compile("b").find("abb", -1))`:      "2",
		`text.re_compile("b").replace("abb", "x")`:       "axx",
		`text.re_compile("b").split("abc")`:              `["a", "c"]`,
		`text.re_compile("b").split("abcbd", 2)`:         `["a", "cbd"]`,
		`is_error(text.re_compile("("))`:                 "true",
		`text.re_compile(text.repeat("a", 70000)).value`: "the regular expression is too long",
		`text.re_compile("(a{100}){10}b{10000}").value`:  "error parsing regexp: invalid repeat count: `{10000}`",
		`text.re_compile("(abcdefghijk){1000}").value`:   "the regular expression is too large when its repetitions are written out",
		`text.compare("a", "b")`:                         "-1",
		`text.contains("abc", "b")`:                      "true",
		`text.contains_any("abc", "xéb")`:                "true",
		`text.count("aba", "a")`:                         "2",
		`text.equal_fold("A", "a")`:                      "true",
		`text.fields(" a  b ")`:                          `["a", "b"]`,
		`text.has_prefix("abc", "ab")`:                   "true",
		`text.has_suffix("abc", "bc")`:                   "true",
		`text.index("abc", "c")`:                         "2",
		`text.index_any("abc", "cb")`:                    "1",
		`text.join(["a", "b", 1], "-")`:                  "a-b-1",
		`text.last_index("aba", "a")`:                    "2",
		`text.last_index_any("abé", "éb")`:               "2",
		`text.repeat("ab", 2)`:                           "abab",
		`text.replace("aaa", "a", "bc", 2)`:              "bcbca",
		`text.replace("ab", "", "-", -1)`:                "-a-b-",
		`text.substr("abc", 1)`:                          "bc",
		`text.substr("abc", 1, 2)`:                       "b",
		`text.split("a,b", ",")`:                         `["a", "b"]`,
		`text.split_after("a,b", ",")`:                   `["a,", "b"]`,
		`text.split_after_n("a,b,c", ",", 2)`:            `["a,", "b,c"]`,
		`text.split_n("a,b,c", ",", 2)`:                  `["a", "b,c"]`,
		`text.title("ab cd")`:                            "Ab Cd",
		`text.to_lower("AÉ")`:                            "aé",
		`text.to_title("a")`:                             "A",
		`text.to_upper("aé")`:                            "AÉ",
		`text.pad_left("a", 4)`:                          "   a",
		`text.pad_left("x", 6, "abc")`:                   "bcabcx",
		`text.pad_left("", 4, "abc")`:                    "cabc",
		`text.pad_right("a", 4, "xyz") + "|"`:            "axyz|",
		`text.pad_right("a", 6, "xyz") + "|"`:            "axyzxy|",
		`text.pad_right("ab", 1)`:                        "ab",
		`text.pad_left("a", 3, "")`:                      "a",
		`text.trim("éaé", "é")`:                          "a",
		`text.trim_left("xxa", "x")`:                     "a",
		`text.trim_prefix("abc", "a")`:                   "bc",
		`text.trim_right("axx", "x")`:                    "a",
		`text.trim_space(" a ")`:                         "a",
		`text.trim_suffix("abc", "c")`:                   "ab",
		`text.atoi("12")`:                                "12",
		`is_error(text.atoi("x"))`:                       "true",
		`text.format_bool(true)`:                         "true",
		`text.format_float(1.5, "f", 2, 64)`:             "1.50",
		`text.format_int(255, 16)`:                       "ff",
		`text.itoa(12)`:                                  "12",
		`text.parse_bool("true")`:                        "true",
		`text.parse_float("1.5", 64)`:                    "1.5",
		`text.parse_int("ff", 16, 64)`:                   "255",
		`text.quote("a\n")`:                              `"a\n"`,
		`text.unquote("\"a\"")`:                          "a",
		`is_error(text.unquote("\"a"))`:                  "true",

		`times.sleep(0)`:                                                             "<undefined>",
		`times.parse_duration("1s")`:                                                 "1000000000",
		`times.since(times.now()) < times.hour`:                                      "true",
		`times.until(times.add(times.now(), times.hour)) > 0`:                        "true",
		`times.duration_hours(times.hour)`:                                           "1",
		`times.duration_minutes(times.hour)`:                                         "60",
		`times.duration_nanoseconds(5)`:                                              "5",
		`times.duration_seconds(times.minute)`:                                       "60",
		`times.duration_string(times.second)`:                                        "1s",
		`times.month_string(2)`:                                                      "February",
		`times.time_string(times.to_utc(times.date(2025, 1, 2, 3, 4, 5, 6, "UTC")))`: "2025-01-02 03:04:05.000000006 +0000 UTC",
		`is_time(times.now())`:                                                       "true",
		`times.time_unix(times.parse("2006-01-02", "1970-01-02"))`:                   "86400",
		`times.time_unix(times.unix(5, 0))`:                                          "5",
		`times.time_unix(times.add(times.unix(5, 0), times.second))`:                 "6",
		`times.time_day(times.to_utc(times.add_date(times.unix(0, 0), 0, 0, 2)))`:    "3",
		`times.sub(times.unix(5, 0), times.unix(4, 0)) == times.second`:              "true",
		`times.after(times.unix(5, 0), times.unix(4, 0))`:                            "true",
		`times.before(times.unix(5, 0), times.unix(4, 0))`:                           "false",
		`times.time_year(times.to_utc(times.unix(0, 0)))`:                            "1970",
		`times.time_month(times.to_utc(times.unix(0, 0)))`:                           "1",
		`times.time_weekday(times.to_utc(times.unix(0, 0)))`:                         "4",
		`times.time_hour(times.to_utc(times.unix(3600, 0)))`:                         "1",
		`times.time_minute(times.unix(60, 0))`:                                       "1",
		`times.time_second(times.unix(61, 0))`:                                       "1",
		`times.time_nanosecond(times.unix(0, 7))`:                                    "7",
		`times.time_unix_nano(times.unix(0, 7))`:                                     "7",
		`times.time_format(times.to_utc(times.unix(0, 0)), "2006")`:                  "1970",
		`times.time_location(times.to_utc(times.unix(0, 0)))`:                        "UTC",
		`times.is_zero(times.unix(0, 0))`:                                            "false",
		`is_time(times.to_local(times.now()))`:                                       "true",
		`times.time_location(times.in_location(times.now(), "Europe/Stockholm"))`:    "Europe/Stockholm",
	}
}

const libraryImports = `base64 := import("base64"); enum := import("enum"); hex := import("hex"); json := import("json")
math := import("math"); rand := import("rand"); text := import("text"); times := import("times")
`

func TestEveryFunctionOfTengosLibraryWorks(t *testing.T) {
	c := connect(t)
	for call, want := range libraryRows() {
		got := c.run(fmt.Sprintf("%sv := %s; import(\"log\").info(is_string(v) ? \"%%s\" : \"%%v\", v)", libraryImports, call))
		if got.Error != nil || got.messages() != want {
			t.Errorf("%s\n gave %s, %+v\n  not %s", call, got.messages(), got.Error, want)
		}
	}
}

func TestEveryFunctionOfTengosLibraryHasARow(t *testing.T) {
	rows := strings.Join(slices.Collect(maps.Keys(libraryRows())), "\n")
	for _, function := range libraryFunctions(t) {
		if !strings.Contains(rows, function+"(") && !strings.Contains(rows, function+")") {
			t.Errorf("no row calls %s", function)
		}
	}
}

// libraryFunctions are those of the modules that can be imported, such as "text.split".
func libraryFunctions(t *testing.T) (names []string) {
	for _, module := range strings.Fields("base64 hex json math rand text times") {
		for name, member := range stdlib.BuiltinModules[module] {
			if _, ok := member.(*tengo.UserFunction); ok {
				names = append(names, module+"."+name)
			}
		}
	}
	for _, name := range regexp.MustCompile(`(?m)^  (\w+): func`).FindAllStringSubmatch(stdlib.SourceModules["enum"], -1) {
		names = append(names, "enum."+name[1])
	}
	if len(names) < 150 {
		t.Fatalf("only %d functions: %s", len(names), names)
	}
	return names
}

func TestWrongArgumentsToTengosLibraryAreRuntimeErrors(t *testing.T) {
	c := connect(t)
	for _, function := range libraryFunctions(t) {
		if strings.HasPrefix(function, "enum.") || function == "json.encode" {
			continue // those take any value; the ones written in Tengo give undefined for what they cannot use
		}
		wrongType := false
		for count := range 11 {
			if count == 0 && takesNothing(function) {
				continue
			}
			call := fmt.Sprintf("%s(%s)", function, strings.TrimSuffix(strings.Repeat("undefined, ", count), ", "))
			got := c.run(libraryImports + call).failure(t)
			isType := strings.HasPrefix(got.Message, "invalid type for argument")
			if got.Kind != "runtime" || !isType && !strings.HasPrefix(got.Message, "wrong number of arguments in call to 'user-function:") {
				t.Errorf("%s: %+v", call, got)
			}
			wrongType = wrongType || isType
		}
		if !wrongType && !takesNothing(function) {
			t.Errorf("%s takes undefined", function)
		}
	}
}

func takesNothing(function string) bool {
	return slices.Contains(strings.Fields("math.nan rand.int rand.float rand.exp_float rand.norm_float times.now"), function)
}
