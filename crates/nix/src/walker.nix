# The walker: what Narthex asks of the Nix evaluator.
#
# Nobody else tells under which license the derivations stand that a job depends on: `.drv` files have no `meta`, and
# tools that evaluate jobs report the `meta` of the jobs alone. Derivation *values* have it. So this function walks
# from the values of the jobs to the values they were made of, and writes down what each one says of itself.
#
# It is called by
#
#   nix-instantiate --eval --strict --json --read-write-mode -E TEXT --argstr expression PATH --argstr request JSON
#
# where TEXT is this file, PATH is absolute and names a Nix file or a folder with a `default.nix`, and JSON is
#
#   { "mode": "list" | "facts", "paths": [ ["a", "b"], … ] }
#
# with attribute paths as lists of names; the empty list is the root.
#
# Mode `list` says what stands at each path, without evaluating what is below it. It answers with a list:
#
#   { path, kind: "derivation" | "set" | "other" | "missing" | "throws", recurse, names }
#
# `names` are the attributes of a set. `recurse` is true for a set that wants to be searched for jobs: the root, and
# those with `recurseForDerivations = true`, as for `nix-env` and Hydra.
#
# Mode `facts` instantiates the jobs at the paths, which writes their `.drv` files into the store, and answers
#
#   jobs:         { attrPath, outcome: "job" | "set" | "other" | "missing" | "throws", … }, one for each path
#                   job: drvPath, name, system, outputs { name: path, or null where only a build can tell }
#                   set: names, recurse
#   derivations:  { drvPath, name, pname?, version?, inputs: [drvPath], facts }, one for each derivation reached
#                   facts: { license, declared, position, provenance: [short name] }
#
# A license is null where `meta` has none (`declared` is false), a string, a set with the fields of `licenseFields`
# as far as it has them, or a list of these. What is anything else, at whatever depth, stands as
# { malformed: "int" | "lambda" | … | "throws" | "depth" }. It is never left out, because what is left out cannot
# be refused.
#
# What it does not do:
# - It does not judge. Which licenses may be passed on is decided elsewhere, from what is written down here.
# - It does not find inputs that a derivation names in its text only ("${tool}/bin/x"), since a string carries no
#   `meta`. The `.drv` files list those too. A derivation that is there, but not here, has no license we know of.
# - It does not catch what Nix cannot catch: `abort`, infinite recursion, a missing attribute, a type error. These
#   end the evaluation. The caller asks again with fewer paths until it knows which one it was.
# - It does not keep the message of what it catches, for `tryEval` drops it. The caller gets the message by
#   evaluating that attribute alone.
# - It uses nothing that Nix 2.8 does not have, and no nixpkgs.
{ expression, request }:

let
  inherit (builtins)
    attrNames attrValues concatMap deepSeq filter fromJSON functionArgs genericClosure
    groupBy head intersectAttrs isAttrs isBool isFunction isList isString length listToAttrs map mapAttrs match seq storeDir
    stringLength substring tail toJSON toString tryEval typeOf unsafeDiscardStringContext unsafeGetAttrPos;

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

  # Drops later copies. Quadratic, for lists of a few elements.
  unique = list:
    if list == [ ] then [ ]
    else [ (head list) ] ++ unique (filter (other: other != head list) (tail list));

  hasDerivationType = value: (value.type or null) == "derivation";
  isDerivation = value: isAttrs value && catchShallow false (hasDerivationType value);

  ## The root, and the way from there

  root =
    let
      value = import expression;
      arguments = functionArgs value;
      required = filter (name: !arguments.${name}) (attrNames arguments);
    in
    if !isFunction value then value
    else if required == [ ] then value { }
    else throw "the function in ${expression} needs arguments that nobody gives it: ${toString required}";

  # { found = true; value; }, { found = false; } where an attribute is missing, or { found = null; } where
  # something on the way throws. The value itself is in weak head normal form, so looking at its kind is safe.
  resolve = path:
    let
      go = value: rest:
        let attempt = tryEval value;
        in
        if !attempt.success then { found = null; }
        else if rest == [ ] then { found = true; inherit (attempt) value; }
        else if isAttrs attempt.value && attempt.value ? ${head rest} then
          go attempt.value.${head rest} (tail rest)
        else { found = false; };
    in
    go root path;

  # A set that throws when asked what it is counts as throwing, not as an uninteresting set that nobody looks into.
  kindOf = found:
    if found.found == null then "throws"
    else if !found.found then "missing"
    else if !isAttrs found.value then "other"
    else catchShallow "throws" (
      if hasDerivationType found.value then "derivation"
      else seq (found.value.recurseForDerivations or null) "set"
    );

  # Only for what `kindOf` calls a set.
  wantsRecursion = path: value: path == [ ] || (value.recurseForDerivations or false) == true;

  list = path:
    let
      found = resolve path;
      kind = kindOf found;
    in
    {
      inherit path kind;
      recurse = kind == "set" && wantsRecursion path found.value;
      names = if kind == "set" then attrNames found.value else [ ];
    };

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
    else if type == "set" then mapAttrs (_: cleanField (depth + 1)) (intersectAttrs licenseFields value)
    else malformed type;

  cleanField = depth: value:
    if value == null || isBool value then value else cleanLicense depth value;

  ## What a derivation says of itself

  factsOf = value:
    let
      metaOrNull = catchShallow null (value.meta or null);
      meta = if isAttrs metaOrNull then metaOrNull else { };
      # A `meta` that throws may have hidden any license.
      lost = !(tryEval (value.meta or null)).success;
      declared = lost || meta ? license;
      at = unsafeGetAttrPos "license" meta;
      given = plainOrNull (meta.position or null);
    in
    {
      inherit declared;
      license =
        if lost then malformed "throws"
        else if declared then catch (malformed "throws") (cleanLicense 0 meta.license)
        else null;
      # nixpkgs sets `position` itself. Elsewhere the place where the license was written is of more use.
      position =
        if given != null || at == null then given
        else plainOrNull "${at.file}:${toString at.line}";
      provenance = catch [ ] (
        let
          provenance = meta.sourceProvenance or [ ];
          names = map (one: plainOrNull (one.shortName or null))
            (if isList provenance then provenance else [ provenance ]);
        in
        filter (name: name != null) names
      );
    };

  # Everything that has to be evaluated for a derivation to count, or null where that throws. Forcing `drvPath` is
  # what writes the `.drv` file.
  probe = value: catch null (
    let
      # A missing attribute cannot be caught, `throw` can.
      given = value.drvPath or null;
      drvPath = if isString given then plain given else throw "a derivation without drvPath";
      fromPath = match "[^-]*-(.*)\\.drv" (baseNameOf drvPath);
    in
    {
      inherit drvPath;
      name =
        if isString (value.name or null) then plain value.name
        else if fromPath != null then head fromPath
        else drvPath;
    }
  );

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

  derivationsIn = depth: candidate:
    let
      attempt = tryEval candidate;
      value = attempt.value;
    in
    if !attempt.success || depth > deepestInput then [ ]
    else if isList value then concatMap (derivationsIn (depth + 1)) value
    else if !isAttrs value then [ ]
    else if isDerivation value then [ value ]
    # Nix turns these into a string and never looks at their other attributes, which may be a whole package set.
    else if value ? outPath || value ? __toString then [ ]
    else concatMap (derivationsIn (depth + 1)) (attrValues value);

  inputsOf = value:
    let
      drvAttrs = catchShallow null (value.drvAttrs or null);
      madeOf = if isAttrs drvAttrs then drvAttrs else intersectAttrs inputNames value;
    in
    concatMap (derivationsIn 0) (attrValues madeOf);

  # Two values may have one `drvPath` and different licenses: `meta` is no part of a derivation, so anybody can
  # change it with `//`. The closure keeps one node for each, because which of them is met first is chance.
  node = value:
    let probed = probe value;
    in
    if probed == null then [ ]
    else
      let facts = factsOf value; in [{
        key = "${probed.drvPath} ${toJSON [ facts.declared facts.license ]}";
        inherit value facts;
        inherit (probed) drvPath name;
        below = concatMap node (inputsOf value);
      }];

  # One entry from all nodes with the same `drvPath`. Values that declare nothing (an output whose package set did not
  # attach `meta` to it) do not count where another one does. Where several declare something, all of it holds.
  merge = nodes:
    let
      first = head nodes;
      declaring = filter (one: one.facts.declared) nodes;
      speaking = if declaring == [ ] then nodes else declaring;
      licenses = unique (map (one: one.facts.license) speaking);
      optional = name:
        let text = plainOrNull (first.value.${name} or null);
        in if text == null then { } else { ${name} = text; };
    in
    {
      inherit (first) drvPath name;
      inputs = attrNames (groupBy (one: one.drvPath) (concatMap (one: one.below) nodes));
      facts = (head speaking).facts // {
        license =
          if length licenses == 1 then head licenses
          else { licenseType = "compound"; operator = "AND"; inherit licenses; };
        provenance = unique (concatMap (one: one.facts.provenance) speaking);
      };
    } // optional "pname" // optional "version";

  facts = paths:
    let
      found = map (path: { attrPath = path; found = resolve path; }) paths;

      job = { attrPath, found }:
        let
          kind = kindOf found;
          value = found.value;
          probed = probe value;
          outputs = catch null (outputsOf value);
        in
        if kind == "set" then {
          inherit attrPath;
          outcome = "set";
          names = attrNames value;
          recurse = wantsRecursion attrPath value;
        }
        else if kind != "derivation" then { inherit attrPath; outcome = kind; }
        else if probed == null || outputs == null then { inherit attrPath; outcome = "throws"; }
        else {
          inherit attrPath outputs;
          inherit (probed) drvPath name;
          outcome = "job";
          system = plainOrNull (value.system or null);
        };

      start = concatMap (one: if kindOf one.found == "derivation" then node one.found.value else [ ]) found;
    in
    {
      jobs = map job found;
      derivations = map merge (attrValues (groupBy (one: one.drvPath) (genericClosure {
        startSet = start;
        operator = one: one.below;
      })));
    };

  question = fromJSON request;
in
# What fails here fails as a whole: an expression that is not there or does not parse has no attributes to ask for.
seq root (
  if question.mode == "list" then map list question.paths
  else if question.mode == "facts" then facts question.paths
  else throw "the request asks for the mode ${toJSON question.mode}, which does not exist"
)
