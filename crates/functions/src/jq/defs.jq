# Definitions beside the interpreter's own, and in place of those that answer otherwise than jq does.

# Errors and ends. There is one input, no log and no file.
def halt_error: error(if type == "string" then rtrimstr("\n") else . end);
def halt_error($code): halt_error;
def debug: .;
def debug(message): .;
def stderr: .;
def input: error("No more inputs");
def inputs: empty;
def input_filename: null;
def input_line_number: 0;

# Paths.
def del(f): delpaths([path(f)]);
def leaf_paths: paths(scalars);
def to_entries: [keys_unsorted[] as $k | {key: $k, value: .[$k]}];
def from_entries:
  reduce .[] as $e ({};
    . + { ($e
           | if .key != null then .key elif .k != null then .k elif .name != null then .name
             elif .Name != null then .Name elif .K != null then .K elif .Key != null then .Key
             elif has("key") then .key else null end
           | if type == "string" then . else tojson end):
          ($e | if has("value") then .value elif has("v") then .v else .Value end) });
def with_entries(f): to_entries | map(f) | from_entries;
def pick(f):
  . as $whole | reduce path(f) as $path (null; setpath($path; $whole | getpath($path)));
def tostream:
  def stream($path; $top):
    if (type == "array" or type == "object") and length > 0 then
      (keys[-1]) as $last
      | (keys[] as $key | .[$key] | stream($path + [$key]; false)),
        [$path + [$last]]
    else [$path, .] end;
  stream([]; true) | if length == 1 and (.[0] | length) == 0 then empty else . end;
def fromstream(events):
  foreach events as $event ({value: null, done: true};
    if .done then {value: null, done: false} else . end
    | if ($event | length) == 2 then
        .value |= setpath($event[0]; $event[1]) | .done = ($event[0] | length == 0)
      else .done = ($event[0] | length == 1) end;
    if .done then .value else empty end);
def truncate_stream(events): . as $depth | events | if .[0] | length > $depth then .[0] |= .[$depth:] else empty end;

# Lists and objects.
def join($separator):
  reduce .[] as $item ({text: "", first: true};
    {text: (.text + (if .first then "" else $separator end)
            + ($item | if . == null then "" elif type == "string" then . elif type == "number" or type == "boolean"
               then tojson else error("cannot join \(type)") end)),
     first: false})
  | .text;
def reverse: if type == "null" then [] elif type == "string" then explode | reverse | implode
  else . as $items | [range(length - 1; -1; -1) as $at | $items[$at]] end;
def transpose: if length == 0 then [] else (map(length) | max) as $width | [range(0; $width) as $at | [.[][$at]]] end;
def in(xs): . as $key | xs | has($key);
def inside(xs): . as $part | xs | contains($part);
def index($part): indices($part) | if . == null then null else .[0] end;
def rindex($part): indices($part) | if . == null then null else .[-1] end;
def toarray: if type == "array" then . else [.] end;
def ascii: [.] | implode;
def toboolean: if type == "boolean" then . elif . == "true" then true elif . == "false" then false
  else error("\(tojson) cannot be parsed as a boolean") end;
def isvalid(f): try (f | true) catch false;
def IN(items): any(items == .; .);
def IN(source; items): any(source == items; .);
def INDEX(rows; key): reduce rows as $row ({}; .[$row | key | tostring] |= $row);
def INDEX(key): INDEX(.[]; key);
def abs: if type == "number" and . < 0 then - . else . end;
def trimstr($part): ltrimstr($part) | rtrimstr($part);

# Regular expressions.
def match($pattern; $flags): matches($pattern; $flags)[];
def match($pattern): if $pattern | type == "array" then match($pattern[0]; $pattern[1]) else match($pattern; null) end;
def test($pattern; $flags): matches($pattern; $flags) | length > 0;
def test($pattern): if $pattern | type == "array" then test($pattern[0]; $pattern[1]) else test($pattern; null) end;
def capture_of_match: reduce (.captures[] | select(.name != null)) as $group ({}; .[$group.name] = $group.string);
def capture($pattern; $flags): match($pattern; $flags) | capture_of_match;
def capture($pattern): match($pattern) | capture_of_match;
def scan($pattern; $flags):
  match($pattern; "g" + $flags) | if .captures | length > 0 then [.captures[].string] else .string end;
def scan($pattern): scan($pattern; null);
def split($pattern; $flags):
  . as $text
  | reduce matches($pattern; "g" + $flags)[] as $match ([[], 0];
      [.[0] + [$text[.[1]:$match.offset]], $match.offset + $match.length])
  | .[0] + [$text[.[1]:]];
def splits($pattern; $flags): split($pattern; $flags)[];
def splits($pattern): splits($pattern; null);
def sub($pattern; new; $flags):
  . as $text
  | reduce matches($pattern; $flags)[] as $match (["", 0];
      [.[0] + $text[.[1]:$match.offset] + ($match | capture_of_match | new), $match.offset + $match.length])
  | .[0] + $text[.[1]:];
def sub($pattern; new): sub($pattern; new; null);
def gsub($pattern; new; $flags): sub($pattern; new; "g" + $flags);
def gsub($pattern; new): sub($pattern; new; "g");

# Dates: the time of the server is UTC.
def localtime: gmtime;
def strflocaltime($format): strftime($format);
def date: todate;
def dateadd(unit; $seconds): . + $seconds;
def datesub(unit; $seconds): . - $seconds;

# Formats.
def @json: tojson;
def @csv: [.[] | if type == "string" then "\"" + (split("\"") | join("\"\"")) + "\""
                 elif type == "number" or type == "boolean" then tojson
                 elif . == null then "" else error("\(type) cannot stand in a row of CSV") end] | join(",");
def @tsv: [.[] | if type == "string" then
                   split("\\") | join("\\\\") | split("\t") | join("\\t") | split("\n") | join("\\n") | split("\r") | join("\\r")
                 elif type == "number" or type == "boolean" then tojson
                 elif . == null then "" else error("\(type) cannot stand in a row of TSV") end] | join("\t");
def @sh: [if type == "array" then .[] end
          | if type == "string" then "'\(escape_sh)'"
            elif type == "object" or type == "array" then error("\(type) cannot be escaped for the shell")
            else tojson end] | join(" ");
