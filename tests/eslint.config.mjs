// What `make lint` looks for in the panels' scripts, where npm is there. No rule of taste.
const browser = [
  "CustomEvent", "EventTarget", "Image", "ImageData", "OffscreenCanvas", "ResizeObserver",
  "clearTimeout", "createImageBitmap", "document", "performance", "requestAnimationFrame", "setTimeout",
  "window",
];

export default [
  {
    files: ["**/*.js"],
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: "module",
      globals: Object.fromEntries(browser.map((name) => [name, "readonly"])),
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: Object.fromEntries([
      ["eqeqeq", ["error", "always", { null: "ignore" }]], // == null is also undefined
      ...[
        "array-callback-return", "constructor-super", "for-direction", "getter-return",
        "no-async-promise-executor", "no-class-assign", "no-compare-neg-zero", "no-cond-assign",
        "no-const-assign", "no-constant-condition", "no-dupe-args", "no-dupe-class-members",
        "no-dupe-else-if", "no-dupe-keys", "no-duplicate-case", "no-empty", "no-eval", "no-fallthrough",
        "no-func-assign", "no-implied-eval", "no-import-assign", "no-invalid-regexp", "no-new-func",
        "no-self-assign", "no-self-compare", "no-shadow-restricted-names",
        "no-sparse-arrays", "no-this-before-super", "no-undef", "no-unreachable", "no-unsafe-finally",
        "no-unsafe-optional-chaining", "no-unused-vars", "no-useless-catch",
        "no-var", "prefer-const", "require-yield", "use-isnan", "valid-typeof",
      ].map((rule) => [rule, "error"]),
    ]),
  },
];
