"""The access patterns asked of both sides: of the source first, then of the table, and the answers compared.

A global index is eventually consistent, so a difference there counts only if it stays: the table is asked again
after growing pauses, all questions that differ together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain, islice

from msgspec import Struct
from msgspec.structs import replace

from migrator.mapping.canonical import key_from_text, key_text
from migrator.mapping.model import Attributes
from migrator.run.agreement import FAULTS, AnswerStore, Tally
from migrator.run.answers import iter_answer
from migrator.run.digests import DigestStore
from migrator.run.expected import SqlFailed, iter_matches, iter_picked
from migrator.run.leftout import LeftOut
from migrator.run.opened import OpenRun
from migrator.run.pattern_report import AnswerDifference, PatternComparison
from migrator.run.questions import EntityPattern, PatternQuestions, Question, form_questions
from migrator.run.workers import Workers
from migrator.target.backoff import Timing, pause
from migrator.target.reading import Ask

#: Seconds before a global index is asked once more.
PAUSES_S = (0.2, 0.4, 0.8, 1.6, 2.0)
#: Differences of one pattern that are told one by one; all are counted.
DETAILS = 100


def select_patterns(opened: OpenRun, entities: Collection[int]) -> list[EntityPattern]:
    """The access patterns of these entities, in the order of the mappings."""
    bound = {
        (entity.name, pattern.name): EntityPattern(pattern, entity)
        for entity in opened.entities
        if entity.number in entities
        for pattern in entity.patterns
    }
    written = (pattern for mapping in opened.plan.mappings for pattern in mapping.access_patterns)
    names = ((pattern.entity, pattern.name) for pattern in written)
    return [bound[name] for name in names if name in bound]


class Inquiry(Struct, frozen=True):
    """What asking needs. `check_stop` raises where the run is to stop."""

    opened: OpenRun
    ask: Ask
    workers: Workers
    check_stop: Callable[[], None]
    timing: Timing
    now_s: int
    left_out: LeftOut

    def compare(self, patterns: Sequence[EntityPattern], store: DigestStore) -> list[PatternComparison]:
        """Ask all patterns. `store` holds what the tables are to hold."""
        if not patterns:
            return []
        asked = form_questions(patterns, self.check_stop)
        answers = AnswerStore(store)
        failed = {n: problem for n, one in enumerate(asked) if (problem := self._expect_by_sql(one, answers))}
        self._expect_by_items([one for one in asked if one.asked.pattern.sql is None], answers)
        tallies = self._ask_patiently([one for n, one in enumerate(asked) if n not in failed], answers)
        return [self._comparison(one, tallies, answers, failed.get(n)) for n, one in enumerate(asked)]

    # ---- the source

    def _expect_by_sql(self, one: PatternQuestions, answers: AnswerStore) -> str | None:
        """Write down what the SQL expects; SQLite's objection to it, if any."""
        pattern, entity = one.asked.pattern, one.asked.entity
        positions = one.asked.specs()
        if pattern.sql is None:
            return None
        try:
            for question in one.questions:
                for unit in entity.units:
                    numbers = [segment.number for segment in self.opened.segments if segment.unit is unit]
                    rows = iter_picked(unit, pattern.sql, dict(question.parameters))
                    answers.expect_rows(question.number, entity.number, (numbers[0], numbers[-1]), positions, rows)
                    self.check_stop()
        except SqlFailed as error:
            return f"SQLite: {error}"
        return None

    def _expect_by_items(self, asked: Sequence[PatternQuestions], answers: AnswerStore) -> None:
        questions: dict[int, list[Question]] = {}
        for one in asked:
            if one.questions:
                questions.setdefault(one.asked.entity.number, []).extend(one.questions)
        tables = {q.number: one.asked.entity.table_number for one in asked for q in one.questions}
        for matches in iter_matches(self.opened, questions, self.workers) if questions else ():
            self.check_stop()
            answers.expect_items((number, tables[number], key, digest) for number, key, digest in matches)
        self.check_stop()

    # ---- the table

    def _ask_patiently(self, asked: Sequence[PatternQuestions], answers: AnswerStore) -> dict[int, Tally]:
        """The tally of each question, by its number."""
        questions = [(one.asked, question) for one in asked for question in one.questions]
        tallies = self._ask_table(questions, answers)
        for delay_s in PAUSES_S:
            again = [
                (pattern, question)
                for pattern, question in questions
                if pattern.eventual and not tallies[question.number].agrees(pattern.pattern.limit)
            ]
            if not again:
                break
            pause(delay_s, self.timing, self.workers.stop.flag.is_set)
            for _, question in again:
                answers.forget_answer(question.number)
            tallies |= self._ask_table(again, answers)
        return tallies

    def _ask_table(self, questions: Sequence[tuple[EntityPattern, Question]], answers: AnswerStore) -> dict[int, Tally]:
        for pattern, question in questions:
            for page in iter_answer(self.opened.client(), pattern, question, self.ask):
                self.check_stop()
                table = pattern.entity.table
                answers.answer(question.number, [(key_text(key, table), self._fits(pattern, key)) for key in page])
        return {question.number: self._tally(pattern, question, answers) for pattern, question in questions}

    def _fits(self, pattern: EntityPattern, key: Attributes) -> bool:
        """Whether an item that no row gives can only be of the pattern's entity, and of a file that was read."""
        texts = pattern.entity.texts_of(key)
        return pattern.entity.fits(texts) and not self.left_out.claims(pattern.entity, texts)

    def _tally(self, pattern: EntityPattern, question: Question, answers: AnswerStore) -> Tally:
        entity = pattern.entity
        return answers.tally(question.number, entity.number, entity.table_number, self.now_s)

    # ---- what came of it

    def _comparison(
        self, one: PatternQuestions, tallies: dict[int, Tally], answers: AnswerStore, failed: str | None
    ) -> PatternComparison:
        pattern, entity = one.asked.pattern, one.asked.entity
        own = [] if failed else [tallies[question.number] for question in one.questions]
        differing = [q for q, tally in zip(one.questions, own, strict=False) if not tally.agrees(pattern.limit)]
        differences = chain.from_iterable(self._differences(one.asked, question, answers) for question in differing)
        comparison = PatternComparison(
            name=pattern.name,
            entity=entity.name,
            table=entity.table.name,
            index=pattern.index,
            questions=len(one.questions),
            expected=sum(tally.wanted(pattern.limit) for tally in own),
            found=sum(tally.matched + tally.unexpected for tally in own),
            notes=tuple(self._notes(own)),
        )
        reason = failed or _reason(one, own, len(differing))
        return replace(comparison, reason=reason, differences=list(islice(differences, DETAILS)))

    def _differences(
        self, asked: EntityPattern, question: Question, answers: AnswerStore
    ) -> Iterator[AnswerDifference]:
        entity, labels = asked.entity, self.opened.labels()
        counts = self._tally(asked, question, answers).faults(asked.pattern.limit)
        for fault, count in counts.items():
            place = (question.number, entity.number, entity.table_number)
            for key in answers.iter_faults(fault, *place, self.now_s, min(count, DETAILS)):
                told = labels.key(entity.table_number, key)
                yield AnswerDifference(fault, key_from_text(key, entity.table), told, question.parameters)

    def _notes(self, tallies: Sequence[Tally]) -> Iterator[str]:
        labels = self.opened.labels()
        others = sum((Counter(tally.others) for tally in tallies), Counter[int]())
        if others:
            yield "and " + ", ".join(
                f"{number} of {labels.entity(entity)}" for entity, number in sorted(others.items())
            )
        for what in ("expired", "foreign"):
            if number := sum(getattr(tally, what) for tally in tallies):
                yield f"{number} {what}"


def _reason(one: PatternQuestions, tallies: Sequence[Tally], differing: int) -> str | None:
    """Why a pattern does not agree."""
    if differing:
        faults = [tally.faults(one.asked.pattern.limit) for tally in tallies]
        missing, unexpected = (sum(counts[fault] for counts in faults) for fault in FAULTS)
        told = [f"{missing} missing"] * bool(missing) + [f"{unexpected} not expected"] * bool(unexpected)
        return f"{', '.join(told)} in {differing} of {len(tallies)} answers"
    if not tallies:
        return f"matched nothing: no sample could be taken{f' ({one.obstacle})' if one.obstacle else ''}"
    if not any(tally.expected for tally in tallies):
        return f"matched nothing on {len(tallies)} sample{'s' if len(tallies) > 1 else ''}"
    return None
