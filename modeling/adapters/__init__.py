"""Adapters: PLoRA, the crayon branch, Dual QLoRA, quantisation."""

from collavo.modeling.adapters.chatter import quiet_bitsandbytes

quiet_bitsandbytes()  # before a module here imports it, by itself or by peft
