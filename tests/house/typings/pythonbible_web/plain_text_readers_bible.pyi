# The module is one literal of 6 MB; pyright needs three minutes to infer its type without this.
class Bible:
    scripture_content: str

bible: Bible
