"""The language of update rules: programs as text, as arrays, as Optax transforms, as source."""

from metaopt.rules import library as library
from metaopt.rules.canonical import canonical as canonical
from metaopt.rules.parse import RuleError as RuleError
from metaopt.rules.parse import parse as parse
from metaopt.rules.parse import read as read
from metaopt.rules.program import Assign as Assign
from metaopt.rules.program import Program as Program
from metaopt.rules.simplify import simplify as simplify
from metaopt.rules.source import learning_rate_scale as learning_rate_scale
from metaopt.rules.source import to_source as to_source
from metaopt.rules.transform import factory as factory
from metaopt.rules.transform import transform as transform
