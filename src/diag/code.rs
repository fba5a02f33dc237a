//! The one table of codes: number, name, title. Numbers are never reused; the letter is the severity.
//!
//! Each code has a page `docs/errors/<code>.md`; tests compare this table, the pages and the codes that the source
//! emits.

use super::Severity;

macro_rules! codes {
    ($($code:ident $name:ident $title:literal;)*) => {
        /// The kinds of findings, each with its code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = concat!(stringify!($code), ": ", $title, ".")] $name,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// Returns the code as it is printed: `E0312`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => stringify!($code),)* }
            }

            /// Returns the name of the variant, as the source of the stages uses it.
            pub fn name(self) -> &'static str {
                match self { $(Code::$name => stringify!($name),)* }
            }

            /// Returns the title of the code's page.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }

            /// Returns the code's page in Markdown.
            pub fn page(self) -> &'static str {
                match self {
                    $(Code::$name => include_str!(concat!("../../docs/errors/", stringify!($code), ".md")),)*
                }
            }
        }
    };
}

codes! {
    // Text and syntax (syntax/).
    E0101 Expected "something else was expected here";
    E0103 ForbiddenCharacter "a character stands where it must not";
    E0104 SpaceInEndpoint "a space stands inside an endpoint";
    E0105 NotAName "a word is not a name";
    E0106 ReservedWord "a word of the language is used as a name";
    E0107 NotKubernetes "Kubernetes does not accept a word";
    E0108 PartialWildcard "a star stands for a part of a word";
    E0109 UnknownEscape "a string holds an unknown escape";
    E0110 UnclosedString "a string does not end on its line";
    E0111 EmptyList "a list is empty";
    E0112 TextLimit "a text goes beyond a limit";
    E0113 ForeignComment "a comment begins as in another language";
    E0114 UnclosedBracket "a bracket is never closed";
    E0115 StrayBracket "a closing bracket has no opening one";
    E0116 UnknownStatement "no statement begins so";
    E0117 WrongArrow "an arrow is misspelled";
    E0118 MissingComma "a comma is missing";
    E0119 UnionWithoutBraces "a list has no braces";
    E0120 NeedsQuotes "a string has no quotes";
    E0121 NotAHost "a host is misspelled";
    E0122 NotAnAddress "an address is misspelled";
    E0123 NeedsBrackets "an IPv6 address stands without brackets";
    E0124 NotAPort "a port is misspelled";
    E0125 UnknownProtocol "there is no such protocol";
    E0126 IcmpPort "icmp has no ports";
    E0127 ProtocolWithoutPort "a protocol stands without a port";
    E0128 TwoSuffixes "ports are written twice";
    E0131 NamesAsLabels "a list of names looks like labels";
    E0132 LabelsAlone "labels stand on their own";
    E0133 UnionAtSlash "a union touches a slash";
    E0134 HostAt "`at` gives addresses to something else than a named host";
    E0135 HostBlock "a block of ports stands on something else than a named host, or is misspelled";
    E0141 UnknownAnnotation "there is no such annotation";
    E0142 AnnotationArgument "an annotation's argument is misspelled";
    E0143 NotADate "there is no such day";
    E0144 MisplacedAnnotation "an annotation stands where none can";
    E0145 DuplicateAnnotation "an annotation stands twice";
    W0146 UnusedAllow "an `@allow` allows nothing";
    E0151 UnknownClause "there is no such clause";
    E0152 DuplicateClause "a clause stands twice";
    E0153 MisplacedClause "a clause stands before the arrow";
    E0154 NotAMethod "a method is misspelled";
    E0155 WrongConditionName "the name of a header or a claim is misspelled";
    E0161 ClaimDirection "a claim has a direction";
    E0162 ClaimBothWays "a claim goes both ways";
    E0163 ClaimKind "an assertion says neither `never` nor `always`";
    E0171 UnknownField "a block has no such field";
    E0172 DuplicateField "something stands twice in a block";
    E0173 MisplacedStatement "a statement cannot stand in this block";
    E0174 NoNamespace "a Service is named without its namespace";
    E0175 BlockPort "a port of a block is misspelled";
    // Names, modules and endpoints (resolve/, types/).
    E0201 DuplicateName "a name is defined twice";
    E0202 UnknownName "a name is not defined";
    E0203 AmbiguousName "two modules bring different things under one name";
    E0204 UnknownModule "there is no such module in the standard library";
    E0205 ModuleNotFound "the file of a `use` cannot be read";
    E0206 CyclicUse "files use each other in a cycle";
    E0207 HostIsService "a host is a Service of the cluster";
    E0208 NotOffered "a module does not offer this name";
    E0209 PlatformUnknown "where the API server or the nodes are is not known";
    E0210 CyclicLet "a name is made of itself";
    E0211 HostBits "an address has bits set beyond its prefix";
    E0212 ExceptKinds "`except` takes from one kind what is of another";
    E0213 ExceptOutside "what `except` takes lies outside";
    E0214 ExceptNothing "`except` takes nothing away";
    E0215 ExceptEverything "`except` leaves nothing";
    E0216 ExceptPorts "an operand of `except` carries a port";
    E0217 WrongName "a name stands where something else is meant";
    E0218 WeightedNetwork "a weight stands on a network";
    W0220 UnusedName "a name is never used";
    W0221 UnusedModule "a module is used for nothing";
    W0222 NamespaceLikeName "a namespace is spelled like a name in sight";
    W0223 KnownAddresses "addresses hold pods or nodes of the cluster";
    W0224 WeightsIgnored "weights have no effect on this port";
    W0225 PerhapsNames "labels look like a list of names";
    // Kinds, facts and ports (types/, policy/).
    E0301 BothGoverned "without a direction both sides are governed";
    E0302 NotWorkloads "the governed side is not made of workloads";
    E0303 PortsOnSource "ports stand to the left of the arrow";
    E0304 SecondPorts "ports stand on something that brings its own";
    E0305 PortNameOutside "a port name stands on a host or an address";
    E0306 TwoProtocols "one port is read in two ways";
    W0307 OneWayOpen "one way of `<->` has no ports";
    E0311 UnknownNamespace "the inventory has no such namespace";
    E0312 SelectorMatchesNothing "a selector matches no pod";
    W0313 SelectorUnmatched "a selector matches no pod that is known";
    N0314 AssumedLabel "a name is taken for a label";
    N0315 LibraryNamespace "a namespace of the standard library is not in the inventory";
    E0316 NameOfTwo "a workload and a Service of one name select different pods";
    E0317 NoSelector "a name has no pods";
    N0318 LibraryFact "a fact of the standard library gives way";
    E0321 UnknownServicePort "the Service has no such port";
    E0322 UnknownPortName "no pod has a port of this name";
    E0323 AmbiguousServicePort "a port is one of the Service's and one of its pods'";
    E0324 ContradictingProtocol "a port is said to be read in another way";
    W0325 ServicePortOnPods "a port at labels is a Service's";
    W0326 ServiceAddress "addresses hold the cluster IP of a Service";
    W0327 ClientsHidden "a Service hides the addresses of its clients";
    W0328 PodOutsideRanges "a pod has an address outside `[cluster] pods`";
    E0331 WhereNeedsHttp "a condition needs ports whose requests can be read";
    E0332 WhereOnDeny "`where jwt` stands on a deny";
    E0333 ViaMisplaced "`via` does not stand on this rule";
    E0334 ViaNeedsHost "`via` on ingress needs the public host";
    E0335 ViaAtOnEgress "`at` stands on egress";
    E0336 ViaNeedsHosts "`via` on egress needs hosts that a sidecar tells from others";
    E0337 NotAGateway "what follows `via` is not a gateway";
    E0338 NotAnIssuer "what follows `jwt` is not an issuer";
    E0339 GatewayService "the gateway's Service is not known";
    E0341 WrongText "a path or a host of a condition is not written as one";
    E0342 AtNeedsNames "a public host needs ports on which clients ask for one";
    E0343 GatewayContradicted "a Gateway object reads a port in another way than the gateway's declaration";
    E0344 GatewayPortUnclear "which of the gateway's ports leads to a destination is not known";
    E0345 HostOutsideScope "a host that the scope does not name is closed at a gateway";
    E0346 NothingOpensTls "no layer of the build opens the TLS of a host";
    W0350 ClientUnseen "no client's address arrives at a gateway";
    W0351 PassesTlsThrough "requests are to come through a gateway that passes TLS on unread";
    W0352 RouteRewrites "a route changes what a rule compares";
    // Declarations and templates (types/).
    E0361 PathNeverSeen "no request has a path that is written so";
    E0362 SpaceInScope "a value of `scope` or `permission` holds a space";
    E0363 TwoIssuers "two issuers of one url differ";
    E0364 HeaderValue "no request has such a value of a header";
    E0401 ContradictingFacts "two statements of one fact disagree";
    E0402 IncompleteDeclaration "a declaration lacks a part that it needs";
    E0403 WrongPart "a part of a declaration is of the wrong kind";
    E0411 UnknownTemplate "there is no such template";
    E0412 ArgumentCount "a template is applied with too few or too many arguments";
    E0413 ArgumentType "an argument is not of the parameter's type";
    E0414 DuplicateParameter "a template has two parameters of one name";
    E0415 UnknownType "there is no such type of parameter";
    E0416 CyclicApply "templates apply each other in a cycle";
    E0417 ParameterType "a parameter stands where its type does not fit";
    E0418 TooManyRules "templates yield too many rules";
    E0419 EachUnknown "which namespaces `each` takes is not known";
    W0420 UnusedParameter "a parameter is never used";
    N0421 EachClosed "`each` takes the namespaces that are known";
    // Scope, annotations and redundant rules (types/, policy/).
    E0501 TwoScopes "a file has two scopes";
    E0502 OutsideScope "a rule governs pods outside the scope";
    E0503 FactsOutsideScope "a file with a scope states facts about others";
    E0504 NoOwnNamespace "`./` has no namespace to stand for";
    E0511 Expired "a rule has expired";
    W0521 RedundantAllow "other allows make this one redundant";
    W0522 ResolverClosed "the resolver is isolated and lets nobody through";
    W0523 GrantDenied "a deny cuts pods off from their resolver or from istiod";
    W0524 ResolverMissed "the way to the cluster's DNS misses its resolver";
    W0525 PlatformUnsaid "the inventory is of a platform that the settings do not name";
    W0526 MeshClosed "istiod or a gateway is isolated and nothing is let through";
    W0527 RedundantDeny "other rules make a deny redundant";
    W0528 UnusableAllow "no flow can use an allow";
    N0529 IdleDeny "a deny denies nothing";
    W0530 MetadataReachable "pods reach the metadata address past a `default deny`";
    E0531 ClaimWithoutWorkloads "a claim has no workloads on either side";
    W0532 ClaimNotJudged "a claim was not judged";
    E0533 AssertionFails "an assertion is not true of every flow";
    E0534 TestFails "a line of a test is not true of every flow";
    E0535 ClaimTooLarge "a claim would take too much work to judge";
    W0536 EmptyClaim "a claim speaks of no flow";
    W0537 RestsOnGap "an assertion may rest on a gap that is accepted";
    W0538 NoResolver "isolated pods that ask for names reach no DNS";
    // Inventory (inventory/).
    E0601 ManifestSyntax "a manifest is no YAML or JSON";
    E0602 ManifestLimit "a manifest is too large, too deep or repeats itself too often";
    E0603 ManifestObject "a document is no Kubernetes object";
    E0604 ManifestType "a field has a value of the wrong kind";
    E0605 ManifestMissing "a field that Kubernetes requires is missing";
    E0606 ManifestValue "a field has a value that Kubernetes refuses";
    E0607 ManifestKeyTwice "a key stands twice in one mapping";
    E0608 ManifestConflict "an object is stated twice, differently";
    E0609 ManifestSelector "a workload does not select its own pods";
    N0610 Unplaced "objects of the inventory name no namespace";
    N0611 PassedOver "files of a folder are no manifests";
    // Layers and targets (targets/).
    N0701 Bypassable "only well-behaved pods are held by a rule";
    N0702 IcmpUndefined "networkpolicy says nothing of icmp";
    N0703 NamespacesClosed "a namespace made later is open until the next build";
    N0704 TcpOnly "udp, sctp and icmp are not enforced";
    N0706 Refused "a layer refuses more than a rule says";
    N0707 NoMesh "the inventory shows no mesh, and a layer needs one";
    N0708 ProxiesUncounted "a gateway's workload, which must know its proxies, is not known";
    N0709 ProbesClosed "pods in ambient mode are closed to the kubelet's probes";
    E0711 NotEnforced "no layer of the build holds a rule";
    E0712 BypassableRefused "only well-behaved pods are held by a rule, and exactness is required";
    E0713 TcpOnlyRefused "udp, sctp and icmp are not enforced, and exactness is required";
    E0714 Ambient "pods in ambient mode are held by no layer";
    W0721 NoGap "`@approximate` without a gap";
    W0722 Unmeshed "pods without a sidecar are not held by a rule";
    W0723 ForeignObject "an object of the cluster adds to what a build writes";
    W0724 LeftOut "annotations keep connections from sidecars";
    W0725 TunnelOpen "the tunnel of pods in ambient mode carries every port";
    E0740 PortReadTwice "two rules read one port of a host in two ways";
    E0741 HostInTwoPlaces "two rules give one host different addresses";
    W0742 WrappedGateway "a gateway's pods look as if they had a sidecar";
    W0743 RootElsewhere "istiod is not in the mesh's root namespace of the settings";
    E0751 SidecarTooLarge "what some pods may reach is too much for one Sidecar";
    E0752 DeniesMultiply "denies and allows of the same pods multiply";
    E0753 NamespacesMultiply "rules for pods of many namespaces multiply";
    // Checked lowering (verify/).
    E0791 Miscompiled "what a build made does not mean the policy";
    W0792 Unchecked "what a build made is too much to check";
    // Output (cli/, targets/).
    E0801 FileInTheWay "a file that netpol did not write is in the way";
    E0802 OutputPlace "a link or something else stands where a file is to be written";
    E0803 OutputRecord "the list of generated files cannot be trusted";
    E0804 Overwritten "a build would overwrite an object that is not its own";
    E0811 OutputDiffers "the folder holds something else than the build";
    E0812 OutputUnfinished "an earlier build did not end";
    // Input and configuration (cli/).
    E0901 ConfigSyntax "the configuration is not valid TOML";
    E0902 ConfigUnknownKey "the configuration has an unknown key";
    E0903 ConfigType "a value of the configuration is of the wrong type";
    E0904 ConfigValue "a value of the configuration is not one that the key takes";
    E0911 NotUtf8 "a file is not UTF-8";
    E0912 GuardrailRule "a file of guardrails holds a rule";
}

impl Code {
    /// Returns the severity that the code's letter stands for.
    pub fn severity(self) -> Severity {
        match self.as_str().as_bytes()[0] {
            b'E' => Severity::Error,
            b'W' => Severity::Warning,
            _ => Severity::Note,
        }
    }

    /// Returns whether the code stands for a mistake of the compiler itself, which no policy should provoke.
    pub fn is_internal(self) -> bool {
        self == Code::Miscompiled
    }

    /// Returns the code that is printed as `text`.
    pub fn parse(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text))
    }
}
