"""The prompt writer: one process in front of one language model, behind `i2v.provider.v1.PromptWriter`.

Reading order: scene, instructions, answer_parser, template_prompt, token_cost, llm (over bounded_transport and
endpoint_fault), writer, prompt_service, settings, app.
"""
