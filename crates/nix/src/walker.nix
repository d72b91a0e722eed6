# Evaluates attributes of a package set and says what stands there, and under which license everything is that they
# were made of.
#
# A `.drv` file has no `meta`, and tools that evaluate jobs report the `meta` of the jobs alone. Derivation *values*
# have it. So this function walks from the values of the jobs to the values they were made of, and writes down what
# each one says of itself.
#
# It is one expression for `nix repl`, which reads questions from its standard input, keeps what it evaluated, and goes on
# behind errors that `tryEval` cannot catch:
#
#   :a { w = (TEXT) { request = "JSON"; }; }   TEXT is this file without its comments, on a few lines
#   w.open                                 says what the root is
#   r = w.piece w.start "PATHS"            a piece of work: attribute paths, as a JSON list of lists of names
#   w.run r                                evaluates the paths of the piece in their order
#   w.to r 4 2                             evaluates two of them, of which four come before
#   w.why r 3                              evaluates the path with this number, so that Nix says why it fails
#   w.place r 3                            says where the attribute with this number is defined
#   w.end 7                                says `end 7`, so that whoever reads knows that the line before is done
#
# Most failures are caught, which costs nothing and tells no reason; those are asked for afterwards, several at once, one line each.
# Where `w.to r N M` ends with an error that cannot be caught, `r = w.rest r K` is the piece behind the K paths that were done and
# the one that failed, and `r = w.again r K` the same beginning with the one that failed, which is then asked less: see
# `origin`. `r = w.piece r "PATHS"` is the next piece, which knows what those before it met. The numbers of paths count from
# the beginning of the piece that was asked for last.
#
# JSON is { "root": ROOT, "mark": TEXT }. ROOT is { "file": PATH } with an absolute path to a Nix file or to a folder with a
# `default.nix`, or { "flake": REFERENCE, "fragment": ["a", "b"], "system": SYSTEM }. The empty path is the root.
#
# It answers while it works, with lines on stderr by way of `trace`, each beginning with the mark. Whoever reads them
# knows at any time what is done, and when a line ends with an error, or the process ends, which attribute did it. The
# answers are
#
#   MARK root { kind, names, pure }   `kind` is "derivation" | "set" | "other"; `names` are the attributes of a set;
#                                 `pure`: whether the evaluation sees nothing of the machine
#   MARK facts DRVPATH FACTS      what the values of a derivation say of it: { license, declared, position,
#                                 provenance: [short name], or { malformed } }, and where no license is declared madeFrom, the DRVPATH
#                                 of the package that this is a wrapper of, if that is known; once for each derivation that was reached, and again
#                                 where another value of the same derivation says something else
#   MARK origin                   it looks now at what a wrapper was made from, which nobody else does and which may fail
#   MARK path { attrPath, outcome: "job" | "set" | "other" | "missing", … }
#                                 for each path, in their order; facts before it belong to it
#                                   job: drvPath, name, system, outputs { name: path, or null where only a build tells },
#                                   outputName: the output that the value itself stands for
#                                   set: names, recurse: whether it wants to be searched for jobs, as the root does and
#                                   what has `recurseForDerivations = true`, as for `nix-env` and Hydra; refuses: whether
#                                   it says that it does not. A list is a set of which the names are numbers
#   MARK caught null              the next path failed, with an error that can be caught
#   MARK at NUMBER                what follows is about this path, also what Nix says
#   MARK place "FILE:LINE:COLUMN" where an attribute is defined, if that is known
#   MARK end NUMBER               the lines before are done
#
# A license is null where `meta` has none (`declared` is false), a string, a set with the fields of `licenseFields`
# as far as it has them, or a list of these. What is anything else, at whatever depth, stands as
# { malformed: "int" | "lambda" | … | "throws" | "depth" }. It is never left out, because what is left out cannot
# be refused.
#
# As Nix does, it calls every function on its way whose arguments all have defaults, and what has a `__functor`. With
# "recursive": true every set is searched.
#
# For tools that evaluate jobs themselves there are two more ways in. Without a request, this is a function from a
# derivation to { facts: [ "DRVPATH FACTS" ], outputName }. With "select": true it is the set of the jobs at the paths, or all of
# the root, in which everything that is to be searched says so.
#
# What it does not do:
# - It does not judge. Which licenses may be passed on is decided elsewhere, from what is written down here.
# - It does not find inputs that a derivation names in its text only ("${tool}/bin/x"), since a string carries no
#   `meta`. The `.drv` files list those too. A derivation that is there, but not here, has no license we know of.
# - It does not say why an attribute is no job: `tryEval` drops the message. Nix says it, when it is asked with `why`.
# - It uses nothing that Nix 2.8 does not have, and no nixpkgs.
{ request ? null }:

let
  inherit (builtins)
    any attrNames attrValues concatLists concatMap concatStringsSep deepSeq elem elemAt filter foldl' fromJSON functionArgs
    genericClosure genList getFlake groupBy head intersectAttrs isAttrs isBool isFunction isList isString length
    listToAttrs map mapAttrs match partition removeAttrs seq split storeDir stringLength substring tail toJSON toString
    toXML trace tryEval typeOf unsafeDiscardStringContext unsafeGetAttrPos;

  # The value, or the default where forcing all of it throws. Only for small values: it forces everything.
  catch = default: value:
    let attempt = tryEval (deepSeq value value);
    in if attempt.success then attempt.value else default;

  # The same for values that must not be forced further than to see what they are.
  catchShallow = default: value:
    let attempt = tryEval value;
    in if attempt.success then attempt.value else default;

  # JSON cannot carry what a string depends on. Nothing here is built from these strings.
  plain = unsafeDiscardStringContext;

  plainOrNull = value: catch null (if isString value then plain value else null);

  ## The root, and the way from there

  # What Nix makes of a value before it looks at it: `EvalState::autoCallFunction`. A derivation stays one, also where it
  # can be called.
  called = value:
    if isAttrs value && value ? __functor && !isDerivation value then called (value.__functor value)
    else if isFunction value && takesNothing value then called (value { })
    else value;

  # Whether a function takes a set of which every attribute has a default. `functionArgs` gives an empty set for `x: …`
  # as well, and only the XML of a function tells them apart.
  takesNothing = function:
    let arguments = functionArgs function;
    in filter (name: !arguments.${name}) (attrNames arguments) == [ ]
      && (arguments != { } || length (split "<attrspat" (toXML function)) > 1);

  fileRoot = file:
    let
      value =
        let imported = import file;
        in if isAttrs imported && imported ? __functor && !isDerivation imported then called imported else imported;
      arguments = functionArgs value;
      required = filter (name: !arguments.${name}) (attrNames arguments);
    in
    if !isFunction value then value
    else if required == [ ] then called (value { })
    else throw "the function in ${file} needs arguments that nobody gives it: ${toString required}";

  # The outputs of a flake whose sets hold nothing but jobs. They do not say `recurseForDerivations`.
  searched = [ "packages" "checks" "hydraJobs" ];

  has = path: value: path == [ ] || (isAttrs value && value ? ${head path} && has (tail path) value.${head path});
  at = path: value: if path == [ ] then called value else at (tail path) (member (called value) (head path));

  # Members of lists have numbers for names.
  isMember = value: name:
    if isList value then match "0|[1-9][0-9]{0,8}" name != null && fromJSON name < length value
    else isAttrs value && value ? ${name};
  member = value: name: if isList value then elemAt value (fromJSON name) else value.${name};
  namesOf = value: if isList value then genList toString (length value) else attrNames value;

  # As `nix build` finds what stands behind the `#`; nothing there means what this system can build.
  flakeRoot = { flake, fragment, system }:
    let
      inherit (getFlake flake) outputs;
      places = filter (path: has path outputs)
        [ ([ "packages" system ] ++ fragment) ([ "legacyPackages" system ] ++ fragment) fragment ];
      place = head places;
      ofSystem = name: if name == "hydraJobs" then [ name ] else [ name system ];
      present = filter (name: has (ofSystem name) outputs);
      names = if present searched != [ ] then present searched else present [ "legacyPackages" ];
    in
    if fragment == [ ] then {
      value = listToAttrs (map (name: { inherit name; value = at (ofSystem name) outputs; }) names);
      searches = path: elem (head path) searched;
      set = path: length path == 1;
    }
    else if places == [ ] then
      throw "the flake has no `${toJSON fragment}`, with or without packages.${system} before it"
    else {
      value = at place outputs;
      searches = path: elem (head place) searched;
      set = path: false;
    };

  question = fromJSON request;

  # The root; which sets are searched unless they say otherwise; and which are searched whatever they say.

  opened =
    if question.root ? flake then flakeRoot question.root
    else { value = fileRoot question.root.file; searches = path: false; set = path: false; };

  root = called opened.value;

  # { found = true; value; }, or { found = false; } where an attribute is missing. The value itself is in weak head
  # normal form, so looking at its kind is safe.
  resolve = path:
    let
      go = inList: given: rest:
        let value = called given;
        in
        if rest == [ ] then seq value { found = true; inherit value inList; }
        else if isMember value (head rest) then go (isList value) (member value (head rest)) (tail rest)
        else { found = false; };
    in
    go false root path;

  # A set that throws when asked what it is has failed, and is no uninteresting set that nobody looks into.
  kindOf = found:
    if !found.found then "missing"
    else if isList found.value then "set"
    else if !isAttrs found.value then "other"
    else if isDerivation found.value then "derivation"
    else seq (found.value.recurseForDerivations or null) "set";

  # Only for what `kindOf` calls a set.
  wantsRecursion = path: value:
    path == [ ] || opened.set path || question.recursive or false
    || isAttrs value && (value.recurseForDerivations or (opened.searches path)) == true;

  refusesRecursion = value: isAttrs value && (value.recurseForDerivations or true) == false;

  ## Licenses

  licenseFields = {
    shortName = null;
    fullName = null;
    spdxId = null;
    url = null;
    free = null;
    redistributable = null;
    deprecated = null;
    licenseType = null;
    operator = null;
    licenses = null;
    license = null;
    exception = null;
  };

  malformed = what: { malformed = what; };

  # A license that contains itself must not end the evaluation of everything else.
  deepestLicense = 16;

  cleanLicense = depth: value:
    let type = typeOf value; in
    if depth > deepestLicense then malformed "depth"
    else if type == "string" then plain value
    else if type == "list" then map (cleanLicense (depth + 1)) value
    else if type == "set" then
      let
        fields = intersectAttrs licenseFields value;
        values = attrValues fields;
      in
      # Nearly every license is as simple as this, and there are many of them.
      if length (filter isString values) + length (filter isBool values) == length values then fields
      else mapAttrs (_: cleanField (depth + 1)) fields
    else malformed type;

  cleanField = depth: value:
    if value == null || isBool value then value else cleanLicense depth value;

  ## What a derivation says of itself

  factsOf = origins: value:
    let
      attempt = tryEval (value.meta or null);
      # A `meta` that throws, or that is something else than a set, may have hidden any license.
      lost = !attempt.success || (attempt.value != null && !isAttrs attempt.value);
      meta = if !lost && isAttrs attempt.value then attempt.value else { };
      # Null is what `meta` says that has no license to name.
      declared = lost || (meta ? license && catchShallow true (meta.license != null));
      position = unsafeGetAttrPos "license" meta;
      given = if meta ? position then plainOrNull meta.position else null;
      # Asked only where it matters: most derivations declare a license.
      origin = if declared then null else originOf origins value;
    in
    (if origin == null then { } else { madeFrom = origin; }) // {
      inherit declared;
      license =
        if lost then malformed (if attempt.success then "a meta of the kind ${typeOf attempt.value}" else "throws")
        else if declared then catch (malformed "throws") (cleanLicense 0 meta.license)
        else null;
      # nixpkgs sets `position` itself. Elsewhere the place where the license was written is of more use.
      position =
        if given != null || position == null then given
        else plainOrNull "${position.file}:${toString position.line}";
      provenance =
        if !(meta ? sourceProvenance) then [ ]
        else catch (malformed "throws") (
          let
            provenance = meta.sourceProvenance;
            nameOf = one: if isString one then plain one else plain one.shortName;
            isNamed = one: isString one || (isAttrs one && isString (one.shortName or null));
            all = if isList provenance then provenance else [ provenance ];
          in
          if provenance == null then [ ]
          else if filter (one: !isNamed one) all == [ ] then map nameOf all
          else malformed "something without a short name"
        );
    };

  # The package that a value was made from, as far as values tell: wrappers of nixpkgs keep it as `unwrapped`, and what
  # joins a single package has it in `paths`.
  originOf = asks: value:
    let
      isOne = candidate: isAttrs candidate && isDerivation candidate;
      unwrapped = value.unwrapped or null;
      paths = value.paths or null;
    in
    if !asks || !(value ? unwrapped || value ? paths) then null
    else announced (catch null (
      if isOne unwrapped then drvPathOf unwrapped
      else if isList paths && length paths == 1 && isOne (head paths) then drvPathOf (head paths)
      else null
    ));

  # Not all that may happen there can be caught, and nothing else asks for it. So it is announced, and where the
  # evaluation fails then, the attribute is asked again without.
  announced = value: if request == null then value else trace "${question.mark} origin" value;

  # The derivation's path, or null where it throws. Forcing it is what writes the `.drv` file.
  drvPathOf = value:
    # A missing attribute cannot be caught, `throw` can.
    let attempt = tryEval (value.drvPath or null);
    in if attempt.success && isString attempt.value then plain attempt.value else null;

  outputsOf = value:
    let
      prefix = "${storeDir}/";
      # The output of a floating content-addressed derivation is a placeholder until it is built.
      pathOrNull = path:
        if substring 0 (stringLength prefix) path == prefix then path else null;
    in
    listToAttrs (map
      (output: {
        name = plain output;
        value = pathOrNull (plain (toString
          (value.${output}.outPath or (value.outPath or (throw "an output without outPath")))));
      })
      (value.outputs or [ "out" ]));

  # The output that a value stands for: `DrvInfo::queryOutputName`, by which `nix-build` goes.
  outputNameOf = value: plainOrNull (value.outputName or null);

  ## The graph

  # The attributes by which nixpkgs' derivations refer to others, for values that do not say what they were made of.
  inputNames = {
    buildInputs = null;
    nativeBuildInputs = null;
    propagatedBuildInputs = null;
    propagatedNativeBuildInputs = null;
    depsBuildBuild = null;
    depsBuildTarget = null;
    depsHostHost = null;
    depsTargetTarget = null;
    src = null;
    srcs = null;
    patches = null;
    stdenv = null;
  };

  # Deep enough for `env` and for structured attributes. A value that contains itself ends here.
  deepestInput = 6;

  isDerivation = value: (value.type or null) == "derivation";
  # Nix turns sets with `outPath` or `__toString` into a string and never looks at their other attributes, which may be
  # a whole package set.
  isPlainSet = value: !(value ? outPath || value ? __toString);

  # The derivations in a list of values, level by level: a derivation has many lists, and a call for each is slow.
  derivationsIn = depth: values:
    let
      sets = partition isDerivation (filter isAttrs values);
      deeper = concatLists (filter isList values) ++ concatMap attrValues (filter isPlainSet sets.wrong);
    in
    if deeper == [ ] || depth == deepestInput then sets.right
    else sets.right ++ derivationsIn (depth + 1) deeper;

  # The same where some of them throw.
  derivationsAmong = depth: candidate:
    let
      attempt = tryEval candidate;
      value = attempt.value;
    in
    if !attempt.success || depth > deepestInput then [ ]
    else if isList value then concatMap (derivationsAmong (depth + 1)) value
    else if !isAttrs value then [ ]
    else if catchShallow false (isDerivation value) then [ value ]
    else if value ? outPath || value ? __toString then [ ]
    else concatMap (derivationsAmong (depth + 1)) (attrValues value);

  derivationsBelow = value:
    let
      drvAttrs = catchShallow null (value.drvAttrs or null);
      madeOf = attrValues (if isAttrs drvAttrs then drvAttrs else intersectAttrs inputNames value);
      # What a derivation was made of was all evaluated with it, so this is nearly always enough.
      attempt = tryEval (derivationsIn 0 madeOf);
    in
    if attempt.success then attempt.value else concatMap (derivationsAmong 0) madeOf;

  # Two values may have one `drvPath` and different facts: `meta` is no part of a derivation, so anybody can
  # change it with `//`. The walk keeps one node for each, because which of them is met first is chance.
  node = origins: drvPath: value: {
    key = plain "${drvPath} ${toJSON (factsOf origins value)}";
    inherit drvPath value;
  };

  # What was met, from the path of a derivation to its nodes, in three sets of which each is much larger than the one
  # before: adding to a single large one would copy it each time.
  nothingMet = { few = { }; fewSize = 0; some = { }; someSize = 0; most = { }; };

  knownOf = met: drvPath: met.few.${drvPath} or (met.some.${drvPath} or (met.most.${drvPath} or [ ]));

  add = met: nodes:
    let
      few = met.few // groupBy (one: one.drvPath) nodes;
      fewSize = met.fewSize + length nodes;
      some = met.some // few;
      someSize = met.someSize + fewSize;
    in
    if fewSize < 16 then met // { inherit few fewSize; }
    else if someSize < 512 then nothingMet // { inherit some someSize; inherit (met) most; }
    else nothingMet // { most = met.most // some; };

  # False only where it is certain that this was met, with a `meta` that comes to the same facts. Nearly always it is
  # one and the same set, and Nix sees that at once.
  mayBeNew = met: value:
    let
      given = value.drvPath or null;
      drvPath = plain given;
      known =
        if isString given then met.most.${drvPath} or (met.some.${drvPath} or (met.few.${drvPath} or [ ]))
        else [ ];
      one = (head known).value.meta or null;
      other = value.meta or null;
    in
    known == [ ] || !(
      (one.license or null) == (other.license or null)
      && one ? license == other ? license
      && (one.position or null) == (other.position or null)
      && (one ? position || !(one ? license) || unsafeGetAttrPos "license" one == unsafeGetAttrPos "license" other)
      && (one.sourceProvenance or null) == (other.sourceProvenance or null)
      # Only of what declares nothing it matters what it was made from.
      && (one ? license || (
        (head known).value ? unwrapped == value ? unwrapped && (head known).value ? paths == value ? paths
      ))
    );

  newNodes = origins: met: values:
    let
      attempt = tryEval (filter (mayBeNew met) values);
      candidates =
        if attempt.success then attempt.value else filter (value: catchShallow true (mayBeNew met value)) values;
      made = value:
        let
          drvPath = drvPathOf value;
          one = node origins drvPath value;
        in
        if drvPath == null || any (known: known.key == one.key) (knownOf met drvPath) then [ ] else [ one ];
    in
    concatMap made candidates;

  walk = origins: met: value:
    genericClosure {
      startSet = newNodes origins met [ value ];
      operator = one: newNodes origins met (derivationsBelow one.value);
    };

  ## The answer

  say = sayAfter "";
  sayAfter = before: what: answer: trace "${before}${question.mark} ${what} ${toJSON answer}";

  # What was met after a path, when it is forced; what the path is, is said meanwhile.
  visit = origins: met: attrPath:
    let
      found = resolve attrPath;
      kind = kindOf found;
      inherit (found) value;
      given = value.drvPath;
      drvPath = if isString given then plain given else throw "its drvPath is of the kind ${typeOf given}";
      outputs = outputsOf value;
      name = plainOrNull (value.name or null);
      reached = walk origins met value;
      # One answer for all of them: each wakes whoever reads.
      facts = concatStringsSep "" (map (one: "${question.mark} facts ${one.key}\n") reached);
    in
    if kind == "set" then
      say "path" {
        inherit attrPath;
        outcome = "set";
        names = namesOf value;
        # What lies in a list is searched, as by Nix.
        recurse = found.inList || wantsRecursion attrPath value;
        refuses = refusesRecursion value;
      } met
    else if kind != "derivation" then say "path" { inherit attrPath; outcome = kind; } met
    else seq drvPath (deepSeq outputs (seq (length reached) (sayAfter facts "path" {
      inherit attrPath drvPath outputs name;
      outcome = "job";
      outputName = outputNameOf value;
      system = plainOrNull (value.system or null);
    } (if reached == [ ] then met else add met reached))));

  ## What is asked for

  # Each state is what was met after one path more; `states` begins with what was met before, and is only evaluated as
  # far as somebody looks, so that a path that fails does not take with it what was met before it.
  chain = before: paths: first: again: rec {
    inherit paths first before;
    states = genList
      (n: if n == 0 then before else attempt (!(again && n == 1)) (elemAt states (n - 1)) (elemAt paths (first + n - 1)))
      (length paths - first + 1);
  };

  attempt = origins: met: attrPath:
    let result = tryEval (visit origins met attrPath);
    in if result.success then result.value else say "caught" null met;

  open =
    let kind = kindOf { found = true; value = root; inList = false; };
    in
    # What fails here fails as a whole: an expression that is not there or does not parse has no attributes to ask for.
    seq root (say "root" {
      inherit kind;
      names = if kind == "set" then namesOf root else [ ];
      pure = !(builtins ? currentTime);
    } null);

  start = chain nothingMet [ ] 0 false;
  piece = before: json: chain (elemAt before.states (length before.states - 1)) (fromJSON json) 0 false;
  rest = before: done: chain (elemAt before.states done) before.paths (before.first + done + 1) false;
  again = before: done: chain (elemAt before.states done) before.paths (before.first + done) true;
  to = all: done: count: foldl' (_: n: seq (elemAt all.states n) null) null (genList (n: done + n + 1) count);
  run = all: foldl' (_: state: seq state null) null all.states;
  end = number: say "end" number null;

  # What is said after the number is about this path, also what Nix says of it. What lies around the attribute may fail as
  # well, and then that is why.
  place = all: number:
    let
      path = elemAt all.paths number;
      names = genList (elemAt path) (length path - 1);
      around = resolve names;
      position = unsafeGetAttrPos (elemAt path (length path - 1)) around.value;
    in
    seq (say "at" number null) (
      if path == [ ] || !around.found || !isAttrs around.value || position == null then null
      else say "place" "${position.file}:${toString position.line}:${toString position.column}" null
    );

  why = all: number: seq (place all number) (seq (visit true all.before (elemAt all.paths number)) null);

  ## For other tools

  # Sets say by themselves that they are to be searched.
  searchable = path: inList: given:
    let
      value = called given;
      members = if isList value then asSet value else removeAttrs value [ "recurseForDerivations" ];
    in
    if isAttrs value && isDerivation value || !(isAttrs value || isList value) then value
    else if inList || wantsRecursion path value then
      mapAttrs (name: searchable (path ++ [ name ]) (isList value)) members // { recurseForDerivations = true; }
    else value;
  asSet = list: listToAttrs (genList (n: { name = toString n; value = elemAt list n; }) (length list));

  # What was named is there whatever it is, below the names that lead to it.
  selected = foldl'
    (set: path:
      let name = head path;
      in set // {
        recurseForDerivations = true;
        ${name} =
          if length path == 1 then named (called (member root name))
          else narrowed (tail path) (called (member root name)) (set.${name} or { });
      })
    { };
  narrowed = path: value: others:
    let name = head path;
    in others // {
      recurseForDerivations = true;
      ${name} =
        if length path == 1 then named (called (member value name))
        else narrowed (tail path) (called (member value name)) (others.${name} or { });
    };
  named = value:
    if isList value then asSet value // { recurseForDerivations = true; }
    else if isAttrs value && !isDerivation value then value // { recurseForDerivations = true; } else value;
in
if request == null then
  value: {
    facts = map (one: one.key) (walk true nothingMet value);
    outputName = outputNameOf value;
  }
else if question.select or false then
  (if isList question.paths then selected question.paths else searchable [ ] false root)
else
  { inherit open start piece rest again run to why end place; }
