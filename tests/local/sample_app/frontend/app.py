import streamlit as st

st.write("A page.")
