"""The public names, for type checkers. Written by scripts/write_stub.py."""

from limbeck.api import ChainResult as ChainResult
from limbeck.api import CompressResult as CompressResult
from limbeck.api import EarlyExitResult as EarlyExitResult
from limbeck.api import EmbeddingsResult as EmbeddingsResult
from limbeck.api import EvaluateResult as EvaluateResult
from limbeck.api import ExportResult as ExportResult
from limbeck.api import FinetuneResult as FinetuneResult
from limbeck.api import FinetuneSteps as FinetuneSteps
from limbeck.api import LanguageModelResult as LanguageModelResult
from limbeck.api import PruneResult as PruneResult
from limbeck.api import Result as Result
from limbeck.api import SentenceEncoder as SentenceEncoder
from limbeck.api import SuiteResult as SuiteResult
from limbeck.api import TrimResult as TrimResult
from limbeck.api import build_corpus as build_corpus
from limbeck.api import chain as chain
from limbeck.api import compress as compress
from limbeck.api import distill as distill
from limbeck.api import distill_embeddings as distill_embeddings
from limbeck.api import early_exit as early_exit
from limbeck.api import evaluate as evaluate
from limbeck.api import export_model as export_model
from limbeck.api import finetune as finetune
from limbeck.api import finetune_steps as finetune_steps
from limbeck.api import pretrain as pretrain
from limbeck.api import prune as prune
from limbeck.api import quantise_model as quantise_model
from limbeck.api import suite as suite
from limbeck.api import trim as trim
from limbeck.errors import CheckpointError as CheckpointError
from limbeck.errors import ContractError as ContractError
from limbeck.errors import DataError as DataError
from limbeck.errors import ExportError as ExportError
from limbeck.errors import FolderInUseError as FolderInUseError
from limbeck.errors import LimbeckError as LimbeckError
from limbeck.errors import MachineError as MachineError
from limbeck.errors import MissingExtraError as MissingExtraError
from limbeck.errors import MissingHeadError as MissingHeadError
from limbeck.errors import SettingsError as SettingsError
from limbeck.errors import TrainingError as TrainingError
from limbeck.inference import pipeline as pipeline
from limbeck.models import AutoConfig as AutoConfig
from limbeck.models import AutoModel as AutoModel
from limbeck.models import AutoModelForCausalLM as AutoModelForCausalLM
from limbeck.models import AutoModelForMaskedLM as AutoModelForMaskedLM
from limbeck.models import AutoModelForMultipleChoice as AutoModelForMultipleChoice
from limbeck.models import AutoModelForPreTraining as AutoModelForPreTraining
from limbeck.models import AutoModelForQuestionAnswering as AutoModelForQuestionAnswering
from limbeck.models import AutoModelForSequenceClassification as AutoModelForSequenceClassification
from limbeck.models import AutoModelForTokenClassification as AutoModelForTokenClassification
from limbeck.models import Model as _Model
from limbeck.models.albert import AlbertConfig as AlbertConfig
from limbeck.models.bert import BertConfig as BertConfig
from limbeck.models.camembert import CamembertConfig as CamembertConfig
from limbeck.models.deberta_v2 import DebertaV2Config as DebertaV2Config
from limbeck.models.distilbert import DistilBertConfig as DistilBertConfig
from limbeck.models.electra import ElectraConfig as ElectraConfig
from limbeck.models.gpt2 import GPT2Config as GPT2Config
from limbeck.models.mobilebert import MobileBertConfig as MobileBertConfig
from limbeck.models.modernbert import ModernBertConfig as ModernBertConfig
from limbeck.models.mpnet import MPNetConfig as MPNetConfig
from limbeck.models.roberta import RobertaConfig as RobertaConfig
from limbeck.models.xlm_roberta import XLMRobertaConfig as XLMRobertaConfig
from limbeck.recipes.finetune import FinetuneStep as FinetuneStep
from limbeck.tokenizers import AutoTokenizer as AutoTokenizer
from limbeck.tokenizers import Tokenizer as Tokenizer
from limbeck.version import __version__ as __version__

class AlbertForMaskedLM(_Model):
    """Scores the vocabulary at each position."""

class AlbertForMultipleChoice(_Model):
    """Scores each of several choices."""

class AlbertForQuestionAnswering(_Model):
    """Scores each position as the start and as the end of the answer."""

class AlbertForSequenceClassification(_Model):
    """Scores labels, or predicts a number, for each text or pair."""

class AlbertForTokenClassification(_Model):
    """Scores labels for each token."""

class AlbertModel(_Model):
    """The bare encoder, with its pooler where the family has one."""

class BertForMaskedLM(_Model):
    """Scores the vocabulary at each position."""

class BertForMultipleChoice(_Model):
    """Scores each of several choices."""

class BertForQuestionAnswering(_Model):
    """Scores each position as the start and as the end of the answer."""

class BertForSequenceClassification(_Model):
    """Scores labels, or predicts a number, for each text or pair."""

class BertForTokenClassification(_Model):
    """Scores labels for each token."""

class BertModel(_Model):
    """The bare encoder, with its pooler where the family has one."""

class CamembertForMaskedLM(_Model):
    """Scores the vocabulary at each position."""

class CamembertForMultipleChoice(_Model):
    """Scores each of several choices."""

class CamembertForQuestionAnswering(_Model):
    """Scores each position as the start and as the end of the answer."""

class CamembertForSequenceClassification(_Model):
    """Scores labels, or predicts a number, for each text or pair."""

class CamembertForTokenClassification(_Model):
    """Scores labels for each token."""

class CamembertModel(_Model):
    """The bare encoder, with its pooler where the family has one."""

class DebertaV2ForMaskedLM(_Model):
    """Scores the vocabulary at each position."""

class DebertaV2ForMultipleChoice(_Model):
    """Scores each of several choices."""

class DebertaV2ForQuestionAnswering(_Model):
    """Scores each position as the start and as the end of the answer."""

class DebertaV2ForSequenceClassification(_Model):
    """Scores labels, or predicts a number, for each text or pair."""

class DebertaV2ForTokenClassification(_Model):
    """Scores labels for each token."""

class DebertaV2Model(_Model):
    """The bare encoder, with its pooler where the family has one."""

class DistilBertForMaskedLM(_Model):
    """Scores the vocabulary at each position."""

class DistilBertForMultipleChoice(_Model):
    """Scores each of several choices."""

class DistilBertForQuestionAnswering(_Model):
    """Scores each position as the start and as the end of the answer."""

class DistilBertForSequenceClassification(_Model):
    """Scores labels, or predicts a number, for each text or pair."""

class DistilBertForTokenClassification(_Model):
    """Scores labels for each token."""

class DistilBertModel(_Model):
    """The bare encoder, with its pooler where the family has one."""

class ElectraForMaskedLM(_Model):
    """Scores the vocabulary at each position."""

class ElectraForMultipleChoice(_Model):
    """Scores each of several choices."""

class ElectraForPreTraining(_Model):
    """Scores each token as one that was replaced."""

class ElectraForQuestionAnswering(_Model):
    """Scores each position as the start and as the end of the answer."""

class ElectraForSequenceClassification(_Model):
    """Scores labels, or predicts a number, for each text or pair."""

class ElectraForTokenClassification(_Model):
    """Scores labels for each token."""

class ElectraModel(_Model):
    """The bare encoder, with its pooler where the family has one."""

class GPT2ForQuestionAnswering(_Model):
    """Scores each position as the start and as the end of the answer."""

class GPT2ForSequenceClassification(_Model):
    """Scores labels, or predicts a number, for each text or pair."""

class GPT2ForTokenClassification(_Model):
    """Scores labels for each token."""

class GPT2LMHeadModel(_Model):
    """Scores the vocabulary for the token after each position."""

class GPT2Model(_Model):
    """The bare encoder, with its pooler where the family has one."""

class MPNetForMaskedLM(_Model):
    """Scores the vocabulary at each position."""

class MPNetForMultipleChoice(_Model):
    """Scores each of several choices."""

class MPNetForQuestionAnswering(_Model):
    """Scores each position as the start and as the end of the answer."""

class MPNetForSequenceClassification(_Model):
    """Scores labels, or predicts a number, for each text or pair."""

class MPNetForTokenClassification(_Model):
    """Scores labels for each token."""

class MPNetModel(_Model):
    """The bare encoder, with its pooler where the family has one."""

class MobileBertForMaskedLM(_Model):
    """Scores the vocabulary at each position."""

class MobileBertForMultipleChoice(_Model):
    """Scores each of several choices."""

class MobileBertForQuestionAnswering(_Model):
    """Scores each position as the start and as the end of the answer."""

class MobileBertForSequenceClassification(_Model):
    """Scores labels, or predicts a number, for each text or pair."""

class MobileBertForTokenClassification(_Model):
    """Scores labels for each token."""

class MobileBertModel(_Model):
    """The bare encoder, with its pooler where the family has one."""

class ModernBertForMaskedLM(_Model):
    """Scores the vocabulary at each position."""

class ModernBertForMultipleChoice(_Model):
    """Scores each of several choices."""

class ModernBertForQuestionAnswering(_Model):
    """Scores each position as the start and as the end of the answer."""

class ModernBertForSequenceClassification(_Model):
    """Scores labels, or predicts a number, for each text or pair."""

class ModernBertForTokenClassification(_Model):
    """Scores labels for each token."""

class ModernBertModel(_Model):
    """The bare encoder, with its pooler where the family has one."""

class RobertaForMaskedLM(_Model):
    """Scores the vocabulary at each position."""

class RobertaForMultipleChoice(_Model):
    """Scores each of several choices."""

class RobertaForQuestionAnswering(_Model):
    """Scores each position as the start and as the end of the answer."""

class RobertaForSequenceClassification(_Model):
    """Scores labels, or predicts a number, for each text or pair."""

class RobertaForTokenClassification(_Model):
    """Scores labels for each token."""

class RobertaModel(_Model):
    """The bare encoder, with its pooler where the family has one."""

class XLMRobertaForMaskedLM(_Model):
    """Scores the vocabulary at each position."""

class XLMRobertaForMultipleChoice(_Model):
    """Scores each of several choices."""

class XLMRobertaForQuestionAnswering(_Model):
    """Scores each position as the start and as the end of the answer."""

class XLMRobertaForSequenceClassification(_Model):
    """Scores labels, or predicts a number, for each text or pair."""

class XLMRobertaForTokenClassification(_Model):
    """Scores labels for each token."""

class XLMRobertaModel(_Model):
    """The bare encoder, with its pooler where the family has one."""
