# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents show as files is read without an error, and what they show as commands is there."""
import functools
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

TEPUY = ROOT = None
# Hidden from the help, or described in a page of their own.
OTHERS = {"agent", "setup", "dial-stdio", "help"}


def pages():
    """Markdown that people read, by name."""
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")]:
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def examples():
    """(where, text) of each document that is shown whole."""
    for name, text in pages():
        for language, block in re.findall(r"```(\w+)\n(.*?)```", text, re.S):
            if language == "yaml":
                yield name, block
            for document in re.findall(r"<<'YAML'\n(.*?)\nYAML\n", block, re.S):
                yield name, document
    for path in ROOT.glob("docs/man/*.5"):
        for block in re.findall(r"^\.Bd -literal\n(.*?)^\.Ed", path.read_text(encoding="utf-8"), re.S | re.M):
            yield path.name, block.replace("\\['a]", "á").replace("\\&", "").replace("\\e", "\\")


def commands():
    """(where, words) of each call of tepuy, as in a shell block or between backticks."""
    for name, text in pages():
        lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.split("\n")]
        for line in lines + re.findall(r"`((?:sudo )?tepuy [^`]*)`", text):
            words = re.sub(r"\s*#.*| -- .*", "", line.replace("\n", " ")).strip().removeprefix("sudo ")
            if words.startswith("tepuy ") and not words.startswith("tepuy -"):
                yield f"{name}: {words}", shlex.split(words)[1:]


class Documents(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="tepuy-documents-")
        self.addCleanup(self.dir.cleanup)
        self.tepuy("recipe", "new", "greeter")

    def tepuy(self, *args):
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": self.dir.name,
               **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}
        return subprocess.run([TEPUY, *args], capture_output=True, text=True, timeout=20, env=env, cwd=self.dir.name)

    def write(self, name, text):
        path = pathlib.Path(self.dir.name, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def read(self, text):
        """The program's word on a document, by what it begins with; None: it is a part of one."""
        if re.search(r"^hosts:", text, re.M):
            return self.tepuy("run", "--inventory", self.write("hosts.yaml", text), "--label", "no=such", "--", "true")
        if re.search(r"^service:", text, re.M):
            return self.tepuy("service", "lint", "--recipes", str(ROOT / "recipes"), self.write("service.yaml", text))
        recipe = re.search(r"^recipe: (\S+)", text, re.M)
        if not recipe:
            return None
        for source in re.findall(r"from: ([\w./-]+)", text):
            self.write(f"{recipe[1]}/{source}", "")
        return self.tepuy("recipe", "lint", os.path.dirname(self.write(f"{recipe[1]}/recipe.yaml", text)))

    def test_examples_are_read_without_an_error(self):
        n = 0
        for where, text in examples():
            done = self.read(text)
            with self.subTest(where, text=text):
                self.assertNotIn(" error: ", done.stderr if done else "")
                self.assertNotIn(" warning: ", done.stderr if done else "")
            n += done is not None
        self.assertGreater(n, 10)

    def test_commands_and_their_options_are_there(self):
        seen = set(re.findall(r"^\.Ss ([a-z-]+(?: [a-z-]+)?)", (ROOT / "docs/man/tepuy.1").read_text(), re.M)) | OTHERS
        n, help_of = 0, functools.cache(lambda name: self.tepuy(*name.split(), "--help").stdout)
        for where, words in commands():
            name = next((c for c in (" ".join(words[:2]), words[0]) if c in seen), None)
            with self.subTest(where):
                self.assertIsNotNone(name)
                text = help_of(name)
                for option in [w.split("=")[0] for w in words if re.fullmatch(r"--[a-z].*|-[A-Za-z]", w)]:
                    self.assertRegex(text, rf"(^|[\s,]){re.escape(option)}\b")
            n += 1
        self.assertGreater(n, 100)


if __name__ == "__main__":
    TEPUY, ROOT = os.path.abspath(sys.argv.pop(1)), pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
