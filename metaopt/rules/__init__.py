"""The language of update rules: programs as text, as arrays, as Optax transforms, as source."""

from metaopt.rules import library as library
from metaopt.rules.parse import RuleError as RuleError
from metaopt.rules.parse import parse as parse
from metaopt.rules.parse import read as read
from metaopt.rules.program import Assign as Assign
from metaopt.rules.program import Program as Program
from metaopt.rules.transform import factory as factory
from metaopt.rules.transform import transform as transform
